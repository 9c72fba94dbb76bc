"""A claim as a careful Django developer writes it: one transaction, `select_for_update`, ORM rows.

It keeps every promise that ours keeps (nothing oversold, limits, receipts, a gap-free log, a promise to look when the
hold is over) and writes the same tables; the answer is the same. Where it could be read either way it is given the
easier work: one event per claim, where a batch of one of ours writes three, and no hold lapses while it runs.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from chat.log.models import Audience, Event, Outbox, Receipt, StreamHead
from chat.moderation.models import Sanction, SanctionKind
from chat.rooms.models import Membership, Room
from commerce.orders.models import Line, Order
from commerce.shops.models import ShopStaff
from commerce.stock.models import Movement, Pool
from livesale.accounts.models import User
from livesale.sales.models import Offer, Sale


class Refused(Exception):
    pass


def place_claim(room_id: UUID, person_id: UUID, client_id: UUID, raw: bytes) -> dict[str, Any]:
    """Carry out `claim.place` and return its answer."""
    body = json.loads(raw)
    offer_id, qty = UUID(body["offer"]), int(body.get("qty", 1))
    with transaction.atomic():
        head = StreamHead.objects.select_for_update(of=("self",)).get(stream_id=room_id)
        receipt = Receipt.objects.filter(client_id=client_id, actor_id=person_id).first()
        if receipt is not None:
            return receipt.answer
        now = timezone.now()
        _may_claim(room_id, person_id)
        offer = Offer.objects.select_related("sale").get(id=offer_id, room_id=room_id)
        sale: Sale = offer.sale
        if sale.state != "live" or not offer.claimable(now):
            raise Refused("claim.not_open")
        pool = Pool.objects.select_for_update(of=("self",)).get(id=offer.pool_id)
        got = _decide(offer, sale, pool, person_id, qty)
        order, _ = Order.objects.get_or_create(
            buyer_id=person_id,
            scope_id=sale.id,
            state="open",
            defaults={
                "shop_id": offer.tenant_id,
                "origin_stream": room_id,
                "currency": offer.currency,
                "created_at": now,
            },
        )
        until = now + timedelta(seconds=offer.hold_seconds or sale.hold_seconds)
        line = Line.objects.create(
            shop_id=offer.tenant_id,
            order=order,
            buyer_id=person_id,
            offer_id=offer.id,
            variant_id=offer.variant_id,
            pool=pool,
            qty=got,
            unit_price_minor=offer.price_now,
            currency=offer.currency,
            title=f"{offer.title} {offer.label}".strip(),
            hold_until=until,
            placed_by_id=person_id,
            terms={"offer": offer.id.hex, "price": offer.price_now, "hold": sale.hold_seconds},
            created_at=now,
        )
        Movement.objects.create(
            shop_id=offer.tenant_id,
            pool=pool,
            kind="hold",
            d_held=got,
            line_id=line.id,
            actor_id=person_id,
            at=now,
        )
        pool.held += got
        pool.version += 1
        pool.save(update_fields=["held", "version"])
        answer = {
            "offer": str(offer.id),
            "order": str(order.id),
            "title": line.title,
            "qty": qty,
            "got": got,
            "waiting": 0,
            "missed": qty - got,
            "unit_price_minor": offer.price_now,
            "currency": offer.currency,
            "line": str(line.id),
            "hold_until": int(until.timestamp() * 1000),
            "wait": None,
            "place": None,
        }
        head.seq += 1
        head.save(update_fields=["seq"])
        Event.objects.create(
            stream_id=room_id,
            seq=head.seq,
            kind="claim.answered",
            audience=Audience.PERSON,
            person_id=person_id,
            body=answer,
            at=now,
        )
        Receipt.objects.create(
            client_id=client_id,
            actor_id=person_id,
            stream_id=room_id,
            fingerprint="0" * 32,
            answer=answer,
            at=now,
        )
        second = int(until.timestamp()) + 1
        promise = Outbox(
            id=uuid5(room_id, f"stock.settle\n{pool.id} {second}"),
            stream_id=room_id,
            name="stock.settle",
            payload={"pool": str(pool.id)},
            at=until,
        )
        Outbox.objects.bulk_create([promise], ignore_conflicts=True)
    return answer


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


def _decide(offer: Offer, sale: Sale, pool: Pool, person_id: UUID, qty: int) -> int:
    live = F("qty") - F("qty_cancelled") - F("qty_refunded")
    lines = Line.objects.filter(buyer_id=person_id)
    used = lines.filter(offer_id=offer.id, state__in=["held", "paid"]).aggregate(n=Sum(live))["n"] or 0
    if offer.limit_now is not None and used + qty > offer.limit_now:
        raise Refused("claim.limit")
    held = lines.filter(shop_id=offer.tenant_id, state="held").aggregate(n=Sum(live))["n"] or 0
    if held + qty > sale.max_unpaid_units:
        raise Refused("claim.unpaid_cap")
    got = min(qty, pool.free)
    if got < 1:
        raise Refused("claim.sold_out")
    return got
