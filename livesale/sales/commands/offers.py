"""What is on sale: adding, changing, ordering, featuring offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.registry import Handler, command
from commerce.catalogue.models import Variant
from commerce.stock.models import Pool
from livesale.claims.goods import Goods
from livesale.sales.book import SaleBook
from livesale.sales.commands.drops import close_drop
from livesale.sales.commands.fields import Cap, Limit, LimitOrNone, Price, Seconds
from livesale.sales.commands.standing import InSale
from livesale.sales.models import Offer, OfferState

describe("offer.variant_unknown", "That product is not there any more.")
describe("offer.twice", "That product is already in the sale.")
describe("offer.too_many", "A sale can have at most {limit} offers.")

OFFER_LIMIT = 200


class AddOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put a variant of a product up for sale."""

    variant: UUID
    price_minor: Price | None = None
    limit: Limit | None = None
    waitlist_cap: Cap = 50
    hold_seconds: Seconds | None = None
    open: bool = True


class UpdateOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change an offer for claims from now on. What is left out stays; a `limit` of 0 is none."""

    offer: UUID
    price_minor: Price | None = None
    limit: LimitOrNone | None = None
    waitlist_cap: Cap | None = None
    hold_seconds: Seconds | None = None
    state: Literal["queued", "open", "closed"] | None = None


class RemoveOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Take an offer out of the sale. What was claimed stays claimed."""

    offer: UUID


class ReorderOffers(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put the queue in this order."""

    offers: Annotated[list[UUID], msgspec.Meta(max_length=OFFER_LIMIT)]


class FeatureOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Show one offer big, or none; a queued one opens by it."""

    offer: UUID | None


class TellOffer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The product of an offer has changed: a picture."""

    offer: UUID


@command("offer.add", AddOffer)
class Add(InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        batch.part(Goods)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        offers = book.offers(request.stream_id)
        if len(offers) >= OFFER_LIMIT:
            raise Refused("offer.too_many", limit=OFFER_LIMIT)
        body = request.body
        if any(o.variant_id == body.variant for o in offers):
            raise Refused("offer.twice")
        variant = (
            Variant.objects.filter(id=body.variant, shop_id=sale.tenant_id, product__archived_at__isnull=True)
            .select_related("product", "shop")
            .first()
        )
        pool = Pool.objects.filter(
            variant_id=body.variant, parent__isnull=True, closed_at__isnull=True
        ).first()
        if variant is None or pool is None:
            raise Refused("offer.variant_unknown")
        offer = Offer(
            id=uuid7(),
            tenant_id=sale.tenant_id,
            room_id=request.stream_id,
            sale=sale,
            variant_id=variant.id,
            product_id=variant.product_id,
            pool_id=pool.id,
            base_pool_id=pool.id,
            code=variant.product.code,
            title=variant.product.title,
            label=variant.label,
            price_minor=variant.price_minor if body.price_minor is None else body.price_minor,
            currency=variant.shop.currency,
            limit_per_buyer=body.limit,
            waitlist_cap=body.waitlist_cap,
            hold_seconds=body.hold_seconds,
            position=max((o.position for o in offers), default=-1) + 1,
            state=OfferState.OPEN if body.open else OfferState.QUEUED,
            created_at=batch.now,
        )
        book.add_offer(offer)
        batch.part(Goods).draws_on(offer, pool)
        return {"offer": str(offer.id)}


@command("offer.update", UpdateOffer)
class Update(InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        body = request.body
        offer = book.offer(request.stream_id, body.offer)
        names = {
            "price_minor": "price_minor",
            "limit": "limit_per_buyer",
            "waitlist_cap": "waitlist_cap",
            "hold_seconds": "hold_seconds",
            "state": "state",
        }
        changes = {field: v for name, field in names.items() if (v := getattr(body, name)) is not None}
        if body.limit == 0:
            changes["limit_per_buyer"] = None
        if changes:
            book.change_offer(offer, **changes)
        return {}


@command("offer.remove", RemoveOffer)
class Remove(InSale):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        sales, goods = batch.part(SaleBook), batch.part(Goods)
        for r in requests:
            goods.want_drops([o for o in sales.offers(r.stream_id) if o.id == r.body.offer])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offer = book.offer(request.stream_id, request.body.offer)
        if offer.is_drop:
            close_drop(batch, offer, actor_id=request.actor_id)
        sale = book.sale(request.stream_id)
        if sale.featured_id == offer.id:
            book.change_sale(sale, featured_id=None)
        book.remove_offer(offer)
        batch.part(Goods).off_sale(offer)
        return {}


@command("offer.reorder", ReorderOffers)
class Reorder(InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        offers = book.offers(request.stream_id)
        order = list(dict.fromkeys(request.body.offers))
        for offer_id in order:
            book.offer(request.stream_id, offer_id)
        order += [o.id for o in sorted(offers, key=lambda o: o.position) if o.id not in set(order)]
        book.reorder(request.stream_id, order)
        return {}


@command("offer.feature", FeatureOffer)
class Feature(InSale):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = self.allowed(batch, request)
        sale = book.sale(request.stream_id)
        offer_id = request.body.offer
        if offer_id is not None:
            offer = book.offer(request.stream_id, offer_id)
            if offer.state == OfferState.QUEUED:
                book.change_offer(offer, state=OfferState.OPEN)
        book.change_sale(sale, featured_id=offer_id)
        return {}


@command("offer.told", TellOffer, system=True)
class Told(Handler):
    """The room hears of an offer as it is now."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        batch.part(SaleBook).fetch([r.stream_id for r in requests])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        offer = batch.part(SaleBook).offer(request.stream_id, request.body.offer)
        batch.emit(request.stream_id, "offer.changed", {"offer": str(offer.id)})
        return {}
