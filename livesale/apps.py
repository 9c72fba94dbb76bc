from django.apps import AppConfig


class LivesaleConfig(AppConfig):
    """The live sale: composes chat and commerce."""

    name = "livesale"
    default_auto_field = "django.db.models.BigAutoField"
