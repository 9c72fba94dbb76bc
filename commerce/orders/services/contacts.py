"""Personal data of orders: the part that is erased while the orders stay."""

from __future__ import annotations

from uuid import UUID

from commerce.orders.models import Contact, Order


def erase_contacts(*, buyer: UUID, shop_id: UUID | None = None) -> int:
    """Delete whom a person's orders went to and their notes; in one shop or in all. Returns how many were deleted."""
    orders = Order.objects.filter(buyer_id=buyer)
    if shop_id is not None:
        orders = orders.filter(shop_id=shop_id)
    orders.exclude(note="").update(note="")
    erased, _ = Contact.objects.filter(order_id__in=orders.values("id")).delete()
    return erased
