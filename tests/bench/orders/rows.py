"""What both ORM baselines share: who may claim, the rows of a claim, its answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from django.db.models import F, Q, Sum

from chat.log.models import Audience, Event, Outbox, Receipt
from chat.moderation.models import Sanction, SanctionKind
from chat.rooms.models import Membership, Room
from commerce.orders.models import Line, Order
from commerce.shops.models import ShopStaff
from commerce.stock.models import Movement
from livesale.accounts.models import User
from livesale.sales.models import Offer, Sale


class Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Claim:
    """A claim that is being carried out."""

    room: UUID
    person: UUID
    client_id: UUID
    offer: Offer
    sale: Sale
    qty: int
    now: datetime


def read(room_id: UUID, person_id: UUID, client_id: UUID, body: dict[str, Any], now: datetime) -> Claim:
    """Find the offer and judge whether this person may claim it here."""
    _may_claim(room_id, person_id)
    offer = Offer.objects.select_related("sale").get(id=UUID(body["offer"]), room_id=room_id)
    if offer.sale.state != "live" or not offer.claimable(now):
        raise Refused("claim.not_open")
    return Claim(room_id, person_id, client_id, offer, offer.sale, int(body.get("qty", 1)), now)


def _may_claim(room_id: UUID, person_id: UUID) -> None:
    room = Room.objects.get(id=room_id)
    User.objects.only("name", "show_name_in_summaries").get(id=person_id)
    member = Membership.objects.filter(room_id=room_id, person_id=person_id).exists()
    if not member and not room.open:
        member = ShopStaff.objects.filter(shop_id=room.tenant_id, person_id=person_id).exists()
        if not member:
            raise Refused("stream.unknown")
    banned = Sanction.objects.filter(
        Q(room_id=room_id) | Q(room_id__isnull=True),
        tenant_id=room.tenant_id,
        person_id=person_id,
        kind=SanctionKind.BAN,
        lifted_at__isnull=True,
    )
    if room.archived_at is not None or banned.exists():
        raise Refused("member.banned")


def check_limits(claim: Claim) -> None:
    """Limit per buyer and cap of unpaid units; to be asked under the pool's lock."""
    live = F("qty") - F("qty_cancelled") - F("qty_refunded")
    lines = Line.objects.filter(buyer_id=claim.person)
    used = lines.filter(offer_id=claim.offer.id, state__in=["held", "paid"]).aggregate(n=Sum(live))["n"] or 0
    if claim.offer.limit_now is not None and used + claim.qty > claim.offer.limit_now:
        raise Refused("claim.limit")
    held = lines.filter(shop_id=claim.offer.tenant_id, state="held").aggregate(n=Sum(live))["n"] or 0
    if held + claim.qty > claim.sale.max_unpaid_units:
        raise Refused("claim.unpaid_cap")


def write_goods(claim: Claim, got: int) -> Line:
    """Basket, line and movement."""
    offer, sale = claim.offer, claim.sale
    order, _ = Order.objects.get_or_create(
        buyer_id=claim.person,
        scope_id=sale.id,
        state="open",
        defaults={
            "shop_id": offer.tenant_id,
            "origin_stream": claim.room,
            "currency": offer.currency,
            "created_at": claim.now,
        },
    )
    line = Line.objects.create(
        shop_id=offer.tenant_id,
        order=order,
        buyer_id=claim.person,
        offer_id=offer.id,
        variant_id=offer.variant_id,
        pool_id=offer.pool_id,
        qty=got,
        unit_price_minor=offer.price_now,
        currency=offer.currency,
        title=f"{offer.title} {offer.label}".strip(),
        hold_until=claim.now + timedelta(seconds=offer.hold_seconds or sale.hold_seconds),
        placed_by_id=claim.person,
        terms={"offer": offer.id.hex, "price": offer.price_now, "hold": sale.hold_seconds},
        created_at=claim.now,
    )
    Movement.objects.create(
        shop_id=offer.tenant_id,
        pool_id=offer.pool_id,
        kind="hold",
        d_held=got,
        line_id=line.id,
        actor_id=claim.person,
        at=claim.now,
    )
    return line


def write_log(claim: Claim, line: Line, seq: int) -> dict[str, Any]:
    """Event, receipt and the promise to look when the hold is over. Returns the answer."""
    answer = {
        "offer": str(line.offer_id),
        "order": str(line.order_id),
        "title": line.title,
        "qty": claim.qty,
        "got": line.qty,
        "waiting": 0,
        "missed": claim.qty - line.qty,
        "unit_price_minor": line.unit_price_minor,
        "currency": line.currency,
        "line": str(line.id),
        "hold_until": int(line.hold_until.timestamp() * 1000),
        "wait": None,
        "place": None,
    }
    Event.objects.create(
        stream_id=claim.room,
        seq=seq,
        kind="claim.answered",
        audience=Audience.PERSON,
        person_id=claim.person,
        body=answer,
        at=claim.now,
    )
    Receipt.objects.create(
        client_id=claim.client_id,
        actor_id=claim.person,
        stream_id=claim.room,
        fingerprint="0" * 32,
        answer=answer,
        at=claim.now,
    )
    second = int(line.hold_until.timestamp()) + 1
    promise = Outbox(
        id=uuid5(claim.room, f"stock.settle\n{line.pool_id} {second}"),
        stream_id=claim.room,
        name="stock.settle",
        payload={"pool": str(line.pool_id)},
        at=line.hold_until,
    )
    Outbox.objects.bulk_create([promise], ignore_conflicts=True)
    return answer
