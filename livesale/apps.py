from django.apps import AppConfig


class LivesaleConfig(AppConfig):
    """The live sale: composes chat and commerce."""

    name = "livesale"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from chat.log import registry
        from commerce.errors import Refused
        from livesale import checks  # noqa: F401 - registers the rules

        registry.treat_as_refusal(Refused)
        registry.load()
