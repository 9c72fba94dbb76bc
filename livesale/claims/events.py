"""What people and rooms hear of claims and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from chat.log.registry import event, snapshot_part
from chat.log.visibility import Viewer
from commerce.orders.models import Order
from livesale.accounts.models import User
from livesale.claims.selectors import mine, staff_figures
from livesale.claims.views import order_views


class ClaimAnswer(msgspec.Struct):
    """To the buyer: got so many, so many wait at this place, so many were not to be had."""

    offer: UUID
    order: UUID
    title: str
    qty: int
    got: int
    waiting: int
    missed: int
    unit_price_minor: int
    currency: str
    line: UUID | None
    hold_until: int | None
    wait: UUID | None
    place: int | None


class OfferClaimed(msgspec.Struct):
    """To the room, once per offer and commit: what was taken, what is left, a few names of those who agreed."""

    offer: UUID
    sold_now: int
    free: int
    held: int
    sold: int
    waiting: int
    version: int
    names: list[str]


class OrderChanged(msgspec.Struct):
    """To its buyer: an order, whole, as it is now."""

    order: UUID
    number: int | None
    stream: UUID
    scope: UUID
    shop: UUID
    state: str
    payment_state: str
    fulfilment_state: str
    currency: str
    lines: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    total_minor: int
    paid_minor: int
    refunded_minor: int
    delivery_kind: str
    delivery_option: UUID | None
    has_contact: bool
    hold_until: int | None
    attempt: dict[str, Any] | None


class OrdersChanged(msgspec.Struct):
    """To the staff: so many orders have changed, these among them."""

    count: int
    orders: list[UUID]


def _hydrate_orders(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    orders = list(Order.objects.filter(id__in={b["order"] for b in bodies}))
    views = {view["order"]: view for view in order_views(orders)}
    return [views.get(b["order"], b) for b in bodies]


def _hydrate_claimed(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    # the log holds whom; a name is told to those who come later as long as its person agrees
    people = {person for b in bodies for person in b.get("people", ())}
    names = (
        {
            str(id_): name
            for id_, name in User.objects.filter(id__in=people, show_name_in_summaries=True).values_list(
                "id", "name"
            )
        }
        if people
        else {}
    )
    return [
        {
            **{key: value for key, value in b.items() if key != "people"},
            "names": list(dict.fromkeys(names[p] for p in b.get("people", ()) if p in names)),
        }
        for b in bodies
    ]


CLAIM_ANSWERED = event("claim.answered", ClaimAnswer)
OFFER_CLAIMED = event("offer.claimed", OfferClaimed, hydrate=_hydrate_claimed)
ORDER_CHANGED = event("order.changed", OrderChanged, hydrate=_hydrate_orders)
ORDERS_CHANGED = event("orders.changed", OrdersChanged)


def _mine(room_id: UUID, viewer: Viewer) -> list[dict[str, Any]]:
    return mine(room_id, viewer.person_id) if viewer.person_id is not None else []


def _figures(room_id: UUID, viewer: Viewer) -> dict[str, Any] | None:
    return staff_figures(room_id) if viewer.staff else None


for kind in ("room", "shop"):
    snapshot_part(kind, "orders", personal=_mine)
    snapshot_part(kind, "figures", personal=_figures)
