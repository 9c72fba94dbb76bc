"""What people write, what is pinned, what was reported. Text lives here, erasable, never in the log."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


class Message(models.Model):
    """A message. Deleting blanks the text and leaves the row, so that replay has something to say."""

    id = models.UUIDField(primary_key=True, editable=False)
    tenant_id = models.UUIDField()
    room_id = models.UUIDField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()
    reply_to = models.UUIDField(null=True)
    hidden = models.BooleanField(default=False, help_text="Seen by its author and the staff only.")
    at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "message"
        indexes = [
            models.Index(fields=["room_id", "author", "at"], name="message_author_recent"),
            models.Index(fields=["room_id", "at"], name="message_recent"),
        ]

    def __str__(self) -> str:
        return f"message {self.id}"


class Pin(models.Model):
    """A message that stays in sight."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room_id = models.UUIDField()
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="pin")
    pinned_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        db_table = "pin"
        indexes = [models.Index(fields=["room_id"], name="pin_room")]

    def __str__(self) -> str:
        return f"pin of {self.message_id}"


class MessageReport(models.Model):
    """Somebody found a message wrong and told the staff."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room_id = models.UUIDField()
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="reports")
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "message_report"
        constraints = [models.UniqueConstraint(fields=["message", "reporter"], name="report_once")]

    def __str__(self) -> str:
        return f"report of {self.message_id}"
