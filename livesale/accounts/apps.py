from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who a person is: the custom user, tickets and resume tokens."""

    name = "livesale.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"
