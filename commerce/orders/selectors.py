"""Reads of orders: a shop's list and export, a buyer's own panel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce

from commerce.money import amount
from commerce.orders.models import Line, Order
from commerce.stock.models import Waiting

CSV_HEADER = (
    "number", "order_id", "state", "payment", "fulfilment", "placed_at", "paid_at", "title", "units", "unit_price",
    "line_state", "order_total", "paid", "refunded", "currency", "delivery", "name", "phone", "email", "street",
    "postcode", "city", "country", "note",
)  # fmt: skip


def orders(
    *, shop_id: UUID, state: str | None = None, scope_id: UUID | None = None, with_baskets: bool = False
) -> QuerySet[Order]:
    """A shop's orders, the newest first, with lines, adjustments and attempts. Open baskets only when asked for."""
    found = Order.objects.filter(shop_id=shop_id).order_by("-placed_at", "-id")
    if state is not None:
        found = found.filter(state=state)
    elif not with_baskets:
        found = found.exclude(state=Order.State.OPEN)
    if scope_id is not None:
        found = found.filter(scope_id=scope_id)
    return found.select_related("contact").prefetch_related(
        Prefetch("lines", Line.objects.order_by("id")), "adjustments", "attempts"
    )


def order(*, shop_id: UUID, order_id: UUID) -> Order | None:
    return orders(shop_id=shop_id, with_baskets=True).filter(id=order_id).first()


def csv_rows(*, shop_id: UUID, **filters: Any) -> Iterator[tuple[Any, ...]]:
    """`CSV_HEADER`, then one row per line of each order. Cells that a spreadsheet would calculate are disarmed."""
    yield CSV_HEADER
    for found in orders(shop_id=shop_id, **filters).iterator(chunk_size=500):
        contact = getattr(found, "contact", None)
        whom = [
            getattr(contact, name, "")
            for name in ("name", "phone", "email", "street", "postcode", "city", "country")
        ]
        for line in found.lines.all():
            cells = (
                found.number, found.id, found.state, found.payment_state, found.fulfilment_state,
                _time(found.placed_at), _time(found.paid_at), line.title,
                line.qty - line.qty_cancelled - line.qty_refunded, amount(line.unit_price_minor, line.currency),
                line.state, amount(found.total_minor, found.currency), amount(found.paid_minor, found.currency),
                amount(found.refunded_minor, found.currency), found.currency, found.delivery_kind, *whom, found.note,
            )  # fmt: skip
            yield tuple(_harmless(cell) for cell in cells)


def _time(value: datetime | None) -> str:
    return value.isoformat() if value else ""


def _harmless(cell: Any) -> Any:
    return "'" + cell if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


@dataclass(frozen=True, slots=True)
class Place:
    """A buyer's place in a waiting list; 1 = next."""

    entry_id: UUID
    offer_id: UUID
    pool_id: UUID
    order_id: UUID
    qty: int
    place: int


@dataclass(frozen=True, slots=True)
class Panel:
    """What a buyer has in a shop: units set aside, places in waiting lists, orders with their lines."""

    holds: list[Line]
    places: list[Place]
    orders: list[Order]


def people_ahead() -> QuerySet[Waiting, Any]:
    """How many wait before a waiting place, to be asked as its subquery: counted along the list's own index."""
    return (
        Waiting.objects.filter(pool_id=OuterRef("pool_id"), state="waiting", rank__lt=OuterRef("rank"))
        .order_by()
        .values("pool_id")
        .annotate(people=Count("*"))
        .values("people")
    )


def panel(*, shop_id: UUID, buyer: UUID, most_orders: int = 50) -> Panel:
    """A buyer's own things in one shop, in four queries."""
    holds = list(Line.objects.filter(shop_id=shop_id, buyer_id=buyer, state=Line.State.HELD).order_by("id"))
    places = [
        Place(*row)
        for row in Waiting.objects.filter(shop_id=shop_id, buyer_id=buyer, state="waiting")
        .annotate(place=Coalesce(Subquery(people_ahead()), 0) + 1)
        .order_by("id")
        .values_list("id", "offer_id", "pool_id", "order_id", "qty", "place")
    ]
    own = (
        Order.objects.filter(shop_id=shop_id, buyer_id=buyer)
        .order_by(F("placed_at").desc(nulls_first=True), "-id")
        .prefetch_related(Prefetch("lines", Line.objects.order_by("id")))[:most_orders]
    )
    return Panel(holds, places, list(own))


def buyer_order(*, shop_id: UUID, buyer: UUID, order_id: UUID) -> Order | None:
    """One order, for its buyer."""
    return orders(shop_id=shop_id, with_baskets=True).filter(id=order_id, buyer_id=buyer).first()
