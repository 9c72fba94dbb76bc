from django.apps import AppConfig


class CommerceConfig(AppConfig):
    """Goods and money: shops, catalogue, stock, orders, payments. Knows no socket, no room, no log."""

    name = "commerce"
    default_auto_field = "django.db.models.BigAutoField"
