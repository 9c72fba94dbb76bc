"""Sale sessions and their offers."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from uuid_utils.compat import uuid7


class SaleState(models.TextChoices):
    SCHEDULED = "scheduled", "scheduled"
    LIVE = "live", "live"
    PAUSED = "paused", "paused"
    ENDED = "ended", "ended"


class OfferState(models.TextChoices):
    QUEUED = "queued", "queued"
    OPEN = "open", "open"
    CLOSED = "closed", "closed"


class Sale(models.Model):
    """A sale in a room: an evening with a host, or days in a group. A room has at most one that is not ended."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField(db_index=True)
    room_id = models.UUIDField(db_index=True)
    state = models.CharField(max_length=10, choices=SaleState.choices, default=SaleState.SCHEDULED)
    title = models.CharField(max_length=120)
    starts_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    video_kind = models.CharField(max_length=6, blank=True)
    video_url = models.CharField(max_length=500, blank=True)
    video_poster = models.CharField(max_length=500, blank=True)
    featured_id = models.UUIDField(null=True)
    hold_seconds = models.PositiveIntegerField(default=600)
    extension_seconds = models.PositiveIntegerField(default=300)
    max_unpaid_units = models.PositiveIntegerField(default=20)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "sale"
        constraints = [
            models.UniqueConstraint(
                fields=["room_id"], condition=~models.Q(state="ended"), name="sale_one_per_room"
            )
        ]

    def __str__(self) -> str:
        return self.title


class Offer(models.Model):
    """A variant on sale. With `drop_opens_at` it is a drop: its own pool, price, limit and end."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room_id = models.UUIDField()
    sale = models.ForeignKey(Sale, on_delete=models.CASCADE, related_name="offers")
    variant_id = models.UUIDField()
    product_id = models.UUIDField()
    pool_id = models.UUIDField(
        db_index=True, help_text="The pool it draws on now: the variant's, or the drop's."
    )
    base_pool_id = models.UUIDField()
    pool_generation = models.PositiveIntegerField(default=0, help_text="Rises whenever `pool_id` changes.")
    code = models.CharField(max_length=24)
    title = models.CharField(max_length=200)
    label = models.CharField(max_length=60, blank=True)
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    limit_per_buyer = models.PositiveIntegerField(null=True)
    waitlist_cap = models.PositiveIntegerField(default=0)
    hold_seconds = models.PositiveIntegerField(null=True)
    position = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=OfferState.choices, default=OfferState.OPEN)
    drop_opens_at = models.DateTimeField(null=True)
    drop_closes_at = models.DateTimeField(null=True)
    drop_allotment = models.PositiveIntegerField(null=True)
    drop_price_minor = models.BigIntegerField(null=True)
    drop_limit = models.PositiveIntegerField(null=True)
    drop_waitlist_cap = models.PositiveIntegerField(null=True)
    removed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "offer"
        indexes = [models.Index(fields=["sale", "position"], name="offer_in_sale")]
        constraints = [
            models.CheckConstraint(condition=models.Q(price_minor__gte=0), name="offer_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.title} {self.label}".strip()

    @property
    def is_drop(self) -> bool:
        return self.drop_opens_at is not None

    @property
    def price_now(self) -> int:
        return (
            self.drop_price_minor if self.is_drop and self.drop_price_minor is not None else self.price_minor
        )

    @property
    def limit_now(self) -> int | None:
        return self.drop_limit if self.is_drop and self.drop_limit is not None else self.limit_per_buyer

    @property
    def waitlist_now(self) -> int:
        cap = self.drop_waitlist_cap
        return cap if self.is_drop and cap is not None else self.waitlist_cap

    def claimable(self, now: datetime) -> bool:
        """Whether units may be claimed at this moment, as far as the offer says: time decides, not status."""
        if self.state != OfferState.OPEN or self.removed_at is not None:
            return False
        if self.drop_opens_at is not None and self.drop_closes_at is not None:
            return self.drop_opens_at <= now < self.drop_closes_at
        return True
