"""Baskets and orders, their lines, what is added to them, whom they go to."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class Order(models.Model):
    """One buyer's order in one sale or storefront (``scope_id``); a basket while it is ``open``.

    ``origin_stream`` is where it was born and where everything about it is told; both ids are opaque here.
    ``total_minor`` is what was agreed when the order was placed, less what was cancelled since.
    """

    class State(models.TextChoices):
        OPEN = "open", _("basket")
        PLACED = "placed", _("placed")
        PAID = "paid", _("paid")
        LAPSED = "lapsed", _("lapsed")
        CANCELLED = "cancelled", _("cancelled")

    class Payment(models.TextChoices):
        UNPAID = "unpaid", _("unpaid")
        PENDING = "pending", _("payment under way")
        PAID = "paid", _("paid")
        PART_REFUNDED = "part_refunded", _("partly refunded")
        REFUNDED = "refunded", _("refunded")

    class Fulfilment(models.TextChoices):
        NONE = "none", _("not packed")
        PACKED = "packed", _("packed")
        SHIPPED = "shipped", _("shipped")
        READY = "ready", _("ready for pick-up")
        HANDED_OVER = "handed_over", _("handed over")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="orders", db_constraint=False, db_index=False
    )
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    scope_id = models.UUIDField()
    origin_stream = models.UUIDField()
    currency = models.CharField(max_length=3)
    number = models.BigIntegerField(
        null=True, blank=True, help_text=_("What people call the order; per shop.")
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN, db_default=State.OPEN)
    payment_state = models.CharField(
        max_length=13, choices=Payment.choices, default=Payment.UNPAID, db_default=Payment.UNPAID
    )
    fulfilment_state = models.CharField(
        max_length=11, choices=Fulfilment.choices, default=Fulfilment.NONE, db_default=Fulfilment.NONE
    )
    delivery_kind = models.CharField(max_length=8, blank=True, default="", db_default="")
    delivery_option_id = models.UUIDField(null=True, blank=True)
    total_minor = models.BigIntegerField(default=0, db_default=0)
    paid_minor = models.BigIntegerField(
        default=0, db_default=0, help_text=_("Money received for this order.")
    )
    refunded_minor = models.BigIntegerField(
        default=0, db_default=0, help_text=_("Money that went back or is owed back.")
    )
    note = models.CharField(max_length=500, blank=True, default="", db_default="")
    created_at = models.DateTimeField()
    placed_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["shop", "state", "placed_at"], name="order_shop"),
            models.Index(fields=["buyer", "shop"], name="order_buyer"),
            models.Index(fields=["scope_id"], name="order_scope"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["buyer", "scope_id"], condition=Q(state="open"), name="order_one_basket"
            ),
            models.UniqueConstraint(
                fields=["shop", "number"], condition=Q(number__isnull=False), name="order_number_unique"
            ),
            models.CheckConstraint(condition=Q(total_minor__gte=0), name="order_total_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0) & Q(refunded_minor__lte=F("paid_minor")),
                name="order_refund_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number}" if self.number else str(self.id)


class Line(models.Model):
    """Units of one variant for one buyer: first a hold with a deadline, then sold or given back.

    What still counts is ``qty - qty_cancelled - qty_refunded``. The state changes only under the lock of the pool.
    """

    class State(models.TextChoices):
        HELD = "held", _("held")
        PAID = "paid", _("paid")
        CANCELLED = "cancelled", _("cancelled")
        LAPSED = "lapsed", _("lapsed")
        REFUNDED = "refunded", _("refunded")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines")
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    offer_id = models.UUIDField()
    variant = models.ForeignKey(
        "commerce.Variant", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    pool = models.ForeignKey(
        "commerce.Pool", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    qty = models.PositiveIntegerField()
    qty_cancelled = models.PositiveIntegerField(default=0, db_default=0)
    qty_refunded = models.PositiveIntegerField(default=0, db_default=0)
    unit_price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    title = models.CharField(max_length=240)
    state = models.CharField(max_length=9, choices=State.choices, default=State.HELD, db_default=State.HELD)
    hold_until = models.DateTimeField()
    extended = models.BooleanField(default=False, db_default=False)
    turn = models.BooleanField(
        default=False, db_default=False, help_text=_("Held because this person was next in the waiting list.")
    )
    placed = models.BooleanField(
        default=False, db_default=False, help_text=_("Part of what the buyer agreed to at checkout.")
    )
    placed_by_id = models.UUIDField(help_text=_("Who asked for it: the buyer, or staff on their behalf."))
    terms = models.JSONField(default=dict, help_text=_("The terms of the claim, as they were promised."))
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["pool", "hold_until"], condition=Q(state="held"), name="line_due"),
            models.Index(fields=["buyer", "shop"], condition=Q(state="held"), name="line_held_by"),
            # the buyer first: of a new offer the planner knows nothing and would read all its lines
            models.Index(fields=["buyer", "offer_id"], name="line_buyer_offer"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(qty__gte=1), name="line_qty_positive"),
            models.CheckConstraint(condition=Q(unit_price_minor__gte=0), name="line_price_not_negative"),
            models.CheckConstraint(
                condition=Q(qty__gte=F("qty_cancelled") + F("qty_refunded")), name="line_qty_bounded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.qty} × {self.title}"


class Adjustment(models.Model):
    """What is added to the goods of an order: shipping, tax and fees are positive, discounts negative."""

    class Kind(models.TextChoices):
        SHIPPING = "shipping", _("shipping")
        TAX = "tax", _("tax")
        DISCOUNT = "discount", _("discount")
        FEE = "fee", _("fee")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="adjustments")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    label = models.CharField(max_length=120)
    amount_minor = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.label} {self.amount_minor:+}"


class Contact(models.Model):
    """Whom an order goes to. Personal data: deleted on request while the order stays."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="contact")
    name = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    email = models.EmailField(blank=True)
    street = models.CharField(max_length=200, blank=True)
    postcode = models.CharField(max_length=20, blank=True)
    city = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True)

    def __str__(self) -> str:
        return self.name
