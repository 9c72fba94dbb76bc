"""What a room hears of its sale, and what its snapshot holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from chat.log.registry import event, latest_values, snapshot_part
from livesale.sales.models import Offer, Sale
from livesale.sales.selectors import current_sale, offer_cards, room_values, sale_card


class SaleCard(msgspec.Struct):
    """The sale, without its offers. `state` ended: the next snapshot has none."""

    sale: UUID
    title: str
    state: str
    starts_at: int | None
    started_at: int | None
    ended_at: int | None
    video: dict[str, Any] | None
    featured: UUID | None
    hold_seconds: int
    extension_seconds: int
    max_unpaid_units: int


class OfferCard(msgspec.Struct):
    """One offer, whole: a new one, or one with changes."""

    offer: UUID
    code: str
    title: str
    label: str
    product: UUID
    variant: UUID
    image: dict[str, str] | None
    price_minor: int
    currency: str
    limit: int | None
    waitlist_cap: int
    hold_seconds: int
    position: int
    state: str
    drop: dict[str, Any] | None


class OfferGone(msgspec.Struct):
    """An offer was taken out of the sale."""

    offer: UUID


class OffersReordered(msgspec.Struct):
    """The queue in its new order."""

    offers: list[UUID]


class OfferFeatured(msgspec.Struct):
    """The offer shown big now, or none."""

    offer: UUID | None


def _hydrate_sales(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    sales = {str(s.id): s for s in Sale.objects.filter(id__in=[b["sale"] for b in bodies])}
    return [sale_card(sales[b["sale"]]) if b["sale"] in sales else b for b in bodies]


def _hydrate_offers(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    offers = Offer.objects.filter(id__in=[b["offer"] for b in bodies]).select_related("sale")
    cards = {card["offer"]: card for card in offer_cards(list(offers))}
    return [cards.get(b["offer"], b) for b in bodies]


SALE_CHANGED = event("sale.changed", SaleCard, hydrate=_hydrate_sales)
OFFER_CHANGED = event("offer.changed", OfferCard, hydrate=_hydrate_offers)
OFFER_REMOVED = event("offer.removed", OfferGone)
OFFER_REORDERED = event("offer.reordered", OffersReordered)
OFFER_FEATURED = event("offer.featured", OfferFeatured)

snapshot_part("room", "sale", public=current_sale)
latest_values(room_values)
