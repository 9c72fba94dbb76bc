"""Drops: units set aside and sold in a short time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.registry import Handler, command
from chat.moderation.audit import Audit
from livesale.claims.goods import Goods
from livesale.sales.book import SaleBook
from livesale.sales.commands.fields import Cap, Limit, Price
from livesale.sales.commands.standing import InSale
from livesale.sales.models import Offer, OfferState

describe("drop.running", "That drop is already running.")
describe("drop.none", "That offer is not a drop.")
describe("drop.too_few", "Only {free} units are free to set aside.")


class OpenDrop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Set units aside and sell them in a short time: countdown, then open until they are gone or time is up."""

    offer: UUID
    allotment: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    duration_seconds: Annotated[int, msgspec.Meta(ge=10, le=86400)]
    countdown_seconds: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 0
    limit: Limit | None = None
    price_minor: Price | None = None
    waitlist_cap: Cap | None = None


class CloseDrop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """End a drop now; units that are left flow back."""

    offer: UUID


class DropDue(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A drop's time is up."""

    offer: UUID
    closes_at: int


@command("drop.open", OpenDrop)
class Open(InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_pools(o.base_pool_id for o in sales.offers(r.stream_id) if o.id == r.body.offer)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        body = request.body
        offer = book.offer(request.stream_id, body.offer)
        if offer.is_drop:
            raise Refused("drop.running")
        goods = batch.part(Goods)
        free = goods.stock.pool(offer.base_pool_id).free
        if free < body.allotment:
            raise Refused("drop.too_few", free=max(free, 0))
        pool_id = goods.stock.open(
            parent_id=offer.base_pool_id,
            units=body.allotment,
            label=f"drop {offer.code}",
            actor=request.actor_id,
        )
        opens = batch.now + timedelta(seconds=body.countdown_seconds)
        closes = opens + timedelta(seconds=body.duration_seconds)
        book.change_offer(
            offer,
            pool_id=pool_id,
            pool_generation=offer.pool_generation + 1,
            state=OfferState.OPEN,
            drop_opens_at=opens,
            drop_closes_at=closes,
            drop_allotment=body.allotment,
            drop_price_minor=body.price_minor,
            drop_limit=body.limit,
            drop_waitlist_cap=body.waitlist_cap,
        )
        goods.draws_on(offer, goods.stock.pool(pool_id))
        book.change_sale(sale, featured_id=offer.id)
        batch.part(Audit).add(request, "drop.open", offer=str(offer.id), allotment=body.allotment)
        closes_ms = int(closes.timestamp() * 1000)
        batch.follow_up(
            offer.room_id,
            "drop.due",
            {"offer": offer.id, "closes_at": closes_ms},
            # the promise of a drop that was closed early stays until it is due, and is not this one
            key=f"{offer.id} {closes_ms}",
            at=closes,
        )
        return {"opens_at": int(opens.timestamp() * 1000), "closes_at": closes_ms}


def close_drop(batch: Batch, offer: Offer, *, actor_id: UUID | None) -> None:
    """End a drop: its pool closes, what is free or lapses later flows back, the offer is an ordinary one again."""
    goods = batch.part(Goods)
    goods.stock.close(pool_id=offer.pool_id, actor=actor_id)
    # whoever waited for the drop waits in vain: the list goes with its pool
    goods.orders.serve_waitlist(offer.pool_id)
    batch.part(SaleBook).change_offer(
        offer,
        pool_id=offer.base_pool_id,
        pool_generation=offer.pool_generation + 1,
        state=OfferState.CLOSED,
        drop_opens_at=None,
        drop_closes_at=None,
        drop_allotment=None,
        drop_price_minor=None,
        drop_limit=None,
        drop_waitlist_cap=None,
    )
    goods.draws_on(offer, goods.stock.pool(offer.base_pool_id))


@command("drop.close", CloseDrop)
class Close(InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offer = book.offer(request.stream_id, request.body.offer)
        if not offer.is_drop:
            raise Refused("drop.none")
        close_drop(batch, offer, actor_id=request.actor_id)
        batch.part(Audit).add(request, "drop.close", offer=str(offer.id))
        return {}


@command("drop.due", DropDue, system=True)
class Due(Handler):
    """Writes down what time has made true: the drop is over."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        sales.fetch([r.stream_id for r in requests])
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        # none, when it was removed meanwhile or the sale is over: they have ended the drop
        offer = batch.part(SaleBook).offer_or_none(request.stream_id, request.body.offer)
        if offer is not None and offer.drop_closes_at is not None and offer.drop_closes_at <= batch.now:
            close_drop(batch, offer, actor_id=None)
        return {}
