"""Sanctions, and the audit of every act of moderation, append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


class SanctionKind(models.TextChoices):
    TIMEOUT = "timeout", "time-out"
    BAN = "ban", "ban"
    HIDE = "hide", "hidden from others"


class Sanction(models.Model):
    """What was laid on a person, in one room or (room empty) everywhere in the tenant's rooms."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room_id = models.UUIDField(null=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=SanctionKind.choices)
    until = models.DateTimeField(null=True, help_text="Empty: until lifted.")
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "sanction"
        indexes = [models.Index(fields=["tenant_id", "person", "kind"], name="sanction_person")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.person_id}"


class AuditEntry(models.Model):
    """One act of a person with power: who, what, against whom, why. The database refuses to change or delete it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    stream_id = models.UUIDField()
    actor_id = models.UUIDField()
    action = models.CharField(max_length=40)
    target_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        db_table = "audit_entry"
        indexes = [models.Index(fields=["tenant_id", "at"], name="audit_time")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_id}"
