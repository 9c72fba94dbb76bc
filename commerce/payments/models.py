"""Attempts to pay an order, what gateways reported, what goes back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

LIVE = ("created", "pending")


class Attempt(models.Model):
    """One try to pay one order through one gateway, for an amount that is fixed when it begins."""

    class State(models.TextChoices):
        CREATED = "created", _("created")
        PENDING = "pending", _("pending")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey("commerce.Order", on_delete=models.PROTECT, related_name="attempts")
    gateway = models.CharField(max_length=20)
    method = models.CharField(
        max_length=20, blank=True, help_text=_("cash, transfer or on_pickup; empty for cards.")
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=9, choices=State.choices, default=State.CREATED)
    provider_ref = models.CharField(max_length=120, blank=True)
    reference = models.CharField(
        max_length=40, blank=True, help_text=_("What the buyer writes on a transfer.")
    )
    flagged = models.BooleanField(
        default=False, help_text=_("Money came that does not fit; a person must look.")
    )
    deadline = models.DateTimeField()
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["gateway", "provider_ref"], name="attempt_provider_ref"),
            models.Index(fields=["deadline"], condition=Q(state__in=LIVE), name="attempt_due"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "gateway"], condition=Q(state__in=LIVE), name="attempt_one_live"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="attempt_amount_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.amount_minor} {self.currency} ({self.state})"


class PaymentEvent(models.Model):
    """What a gateway told us, once per event id; ``outcome`` is the answer that a repetition gets again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    gateway = models.CharField(max_length=20)
    event_id = models.CharField(max_length=120)
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=20)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    outcome = models.JSONField(default=dict)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "event_id"], name="payment_event_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.kind} {self.event_id}"


class Refund(models.Model):
    """Money that goes back to the buyer, by rule or by decision; ``lines`` is ``[[line id, units], …]``."""

    class State(models.TextChoices):
        DUE = "due", _("due")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=6, choices=State.choices, default=State.DUE)
    lines = models.JSONField(default=list)
    actor_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive")]

    def __str__(self) -> str:
        return f"{self.amount_minor} ({self.state})"
