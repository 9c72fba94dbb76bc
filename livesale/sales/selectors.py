"""Reads about sales: cards for events and snapshots, stock counts, what a person typed may mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage

from commerce.catalogue.models import Media
from commerce.stock.models import Pool
from livesale.sales.models import Offer, Sale, SaleState


def images_of(product_ids: Iterable[UUID]) -> dict[UUID, dict[str, str]]:
    """The first picture of each product: {"160": address, "480": …, "alt": text}."""
    found: dict[UUID, dict[str, str]] = {}
    rows = Media.objects.filter(product_id__in=set(product_ids)).order_by("position", "id")
    for product_id, renditions, alt in rows.values_list("product_id", "renditions", "alt"):
        if product_id not in found:
            found[product_id] = {
                **{width: default_storage.url(r["file"]) for width, r in renditions.items()},
                "alt": alt,
            }
    return found


def _ms(moment: Any) -> int | None:
    return int(moment.timestamp() * 1000) if moment is not None else None


def sale_card(sale: Sale) -> dict[str, Any]:
    """The sale as the room sees it, without offers."""
    return {
        "sale": str(sale.id),
        "title": sale.title,
        "state": sale.state,
        "starts_at": _ms(sale.starts_at),
        "started_at": _ms(sale.started_at),
        "ended_at": _ms(sale.ended_at),
        "video": (
            {"kind": sale.video_kind, "url": sale.video_url, "poster": sale.video_poster}
            if sale.video_url or sale.video_poster
            else None
        ),
        "featured": str(sale.featured_id) if sale.featured_id else None,
        "hold_seconds": sale.hold_seconds,
        "extension_seconds": sale.extension_seconds,
        "max_unpaid_units": sale.max_unpaid_units,
    }


def offer_cards(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """Offers as the room sees them, with their pictures, in one more query. `sale` must be at hand."""
    images = images_of([o.product_id for o in offers]) if offers else {}
    return [
        {
            "offer": str(o.id),
            "code": o.code,
            "title": o.title,
            "label": o.label,
            "product": str(o.product_id),
            "variant": str(o.variant_id),
            "image": images.get(o.product_id),
            "price_minor": o.price_now,
            "currency": o.currency,
            "limit": o.limit_now,
            "waitlist_cap": o.waitlist_now,
            "hold_seconds": o.hold_seconds or o.sale.hold_seconds,
            "position": o.position,
            "state": o.state,
            "drop": (
                {
                    "opens_at": _ms(o.drop_opens_at),
                    "closes_at": _ms(o.drop_closes_at),
                    "allotment": o.drop_allotment,
                    "full_price_minor": o.price_minor,
                }
                if o.is_drop
                else None
            ),
        }
        for o in offers
    ]


def current_sale(room_id: UUID) -> dict[str, Any] | None:
    """The room's sale that is not ended, with its offers in the order of the queue."""
    sale = Sale.objects.filter(room_id=room_id).exclude(state=SaleState.ENDED).first()
    if sale is None:
        return None
    offers = list(
        Offer.objects.filter(sale=sale, removed_at__isnull=True)
        .select_related("sale")
        .order_by("position", "id")
    )
    return {**sale_card(sale), "offers": offer_cards(offers)}


def stock_value(pool: Any) -> dict[str, int]:
    """What everyone may know of a pool's stock. `pool`: anything with its counters."""
    return {"free": pool.free, "held": pool.held, "sold": pool.sold, "waiting": pool.waiting}


def room_values(stream_ids: Sequence[UUID]) -> dict[UUID, dict[str, tuple[int, Any]]]:
    """The stock of every offer in these rooms' sales, versioned."""
    offers = list(
        Offer.objects.filter(room_id__in=stream_ids, removed_at__isnull=True)
        .exclude(sale__state=SaleState.ENDED)
        .values_list("room_id", "id", "pool_id", "pool_generation")
    )
    pools = {p.id: p for p in Pool.objects.filter(id__in={o[2] for o in offers})}
    found: dict[UUID, dict[str, tuple[int, Any]]] = {}
    for room_id, offer_id, pool_id, generation in offers:
        pool = pools.get(pool_id)
        if pool is not None:
            version = stock_version(generation, pool.version)
            found.setdefault(room_id, {})[f"stock:{offer_id}"] = (version, stock_value(pool))
    return found


def stock_version(generation: int, pool_version: int) -> int:
    """A version that also rises when an offer draws on another pool: a drop's own, and the variant's again after it.

    Stays below 2**53, so that JavaScript counts exactly.
    """
    return (generation << 32) | pool_version
