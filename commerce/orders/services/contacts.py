"""Personal data of orders: the part that is erased while the orders stay."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from commerce.orders.models import Contact, Order
from commerce.payments.models import Refund

# Reasons of refunds that are ours and not somebody's words.
_OWN_REASONS = Q(reason="refund") | Q(reason__startswith="payment.")


def erase_contacts(*, buyer: UUID, shop_id: UUID | None = None) -> int:
    """Delete whom a person's orders went to and their notes; in one shop or in all. Returns how many were deleted."""
    orders = Order.objects.filter(buyer_id=buyer)
    if shop_id is not None:
        orders = orders.filter(shop_id=shop_id)
    return _erase(orders)


def erase_free_contacts(*, buyer: UUID, before: datetime) -> int:
    """The same for those orders for which no law keeps it: never placed or paid, or placed before a moment."""
    orders = Order.objects.filter(buyer_id=buyer)
    free = Q(state__in=["open", "lapsed", "cancelled"], paid_minor=0) | Q(placed_at__lt=before)
    reasons = Refund.objects.filter(attempt__order__buyer_id=buyer).exclude(_OWN_REASONS)
    reasons.update(reason="refund")
    return _erase(orders.filter(free))


def drop_old_contacts(*, before: datetime, most: int) -> int:
    """Whom orders from before a moment went to, and their notes, whoever's they are. Returns how many orders it met."""
    old = Order.objects.annotate(since=Coalesce("placed_at", "created_at")).filter(
        Q(contact__isnull=False) | ~Q(note=""), since__lt=before
    )
    ids = list(old.order_by().values_list("id", flat=True)[:most])
    if ids:
        _erase(Order.objects.filter(id__in=ids))
    return len(ids)


def _erase(orders: QuerySet[Order]) -> int:
    orders.exclude(note="").update(note="")
    erased, _ = Contact.objects.filter(order_id__in=orders.values("id")).delete()
    return erased
