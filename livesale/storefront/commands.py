"""Buying without a room, on the shop's stream, from the same pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Request
from chat.log.errors import Refused
from chat.log.registry import Handler, command
from chat.moderation.selectors import banned_everywhere
from commerce.catalogue.models import Variant
from commerce.orders.types import ClaimTerms
from commerce.stock.models import Pool
from livesale.claims.goods import Goods

HOLD_SECONDS = 900
EXTENSION_SECONDS = 300
WAITLIST_CAP = 50
MAX_UNPAID_UNITS = 50


class Buy(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put units of a variant into the basket: held for a while, like a claim in a room."""

    variant: UUID
    qty: Annotated[int, msgspec.Meta(ge=1, le=999)] = 1


@command("buy", Buy, on=("shop",))
class BuyVariant(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        goods = batch.part(Goods)
        pools = Pool.objects.filter(
            variant_id__in=[r.body.variant for r in requests], parent__isnull=True, closed_at__isnull=True
        )
        by_variant = dict(pools.values_list("variant_id", "id"))
        for r in requests:
            if r.body.variant in by_variant:
                goods.orders.want_claim(
                    buyer=r.actor_id,
                    shop_id=r.stream_id,
                    scope_id=r.stream_id,
                    offer_id=r.body.variant,
                    pool_id=by_variant[r.body.variant],
                )

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        goods = batch.part(Goods)
        variant = (
            Variant.objects.filter(
                id=request.body.variant, shop_id=request.stream_id, product__archived_at__isnull=True
            )
            .select_related("product", "shop")
            .first()
        )
        pool = next(
            (
                p
                for p in goods.stock.pools.values()
                if p.variant_id == request.body.variant and p.parent_id is None
            ),
            None,
        )
        if variant is None or pool is None or pool.shop_id != request.stream_id:
            raise Refused("offer.unknown")
        if banned_everywhere(tenant_id=request.stream_id, person_id=request.actor_id):
            raise Refused("member.banned")
        title = f"{variant.product.title} {variant.label}".strip()
        terms = ClaimTerms(
            shop_id=request.stream_id,
            scope_id=request.stream_id,
            origin_stream=request.stream_id,
            offer_id=variant.id,
            pool_id=pool.id,
            variant_id=variant.id,
            title=title,
            unit_price_minor=variant.price_minor,
            currency=variant.shop.currency,
            hold_seconds=HOLD_SECONDS,
            extension_seconds=EXTENSION_SECONDS,
            waitlist_cap=WAITLIST_CAP,
            max_unpaid_units=MAX_UNPAID_UNITS,
        )
        return goods.claim(terms, buyer=request.actor_id, placed_by=request.actor_id, qty=request.body.qty)
