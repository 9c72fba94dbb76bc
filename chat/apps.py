from django.apps import AppConfig


class ChatConfig(AppConfig):
    """People and words: streams, rooms, messages, moderation and the wire. Knows no goods."""

    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"
