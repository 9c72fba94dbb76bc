"""Reads of a shop for its stream, its pages and REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage

from commerce.catalogue.models import Product, Variant
from commerce.shops.models import Shop
from commerce.shops.selectors import delivery_options
from commerce.stock.models import Pool
from livesale.sales.selectors import stock_value


def shop_card(shop_id: UUID) -> dict[str, Any] | None:
    """The shop as everyone sees it, None when there is no such shop."""
    shop = Shop.objects.filter(id=shop_id).first()
    if shop is None:
        return None
    return {
        "id": str(shop.id),
        "name": shop.name,
        "slug": shop.slug,
        "currency": shop.currency,
        "terms": shop.terms,
        "delivery": [
            {
                "option": str(o.id),
                "kind": o.kind,
                "label": o.label,
                "details": o.details,
                "fee_minor": o.fee_minor,
                "free_from_minor": o.free_from_minor,
            }
            for o in delivery_options(shop_id=shop_id)
        ],
    }


def product_cards(
    *, shop_id: UUID | None = None, product_ids: Sequence[UUID] | None = None
) -> list[dict[str, Any]]:
    """Products with variants, pictures and stock: all of a shop that are not archived, or these."""
    products = Product.objects.order_by("code", "id").prefetch_related("variants", "media")
    if product_ids is not None:
        products = products.filter(id__in=product_ids)
    elif shop_id is not None:
        products = products.filter(shop_id=shop_id, archived_at__isnull=True)
    else:
        raise TypeError("say which: a shop's products, or these")
    found = list(products)
    pools = {
        p.variant_id: p
        for p in Pool.objects.filter(variant__product__in=found, parent__isnull=True, closed_at__isnull=True)
    }
    return [
        {
            "product": str(p.id),
            "code": p.code,
            "title": p.title,
            "description": p.description,
            "archived": p.archived_at is not None,
            "images": [
                {**{w: default_storage.url(r["file"]) for w, r in m.renditions.items()}, "alt": m.alt}
                for m in p.media.all()
            ],
            "variants": [
                {
                    "variant": str(v.id),
                    "label": v.label,
                    "sku": v.sku,
                    "price_minor": v.price_minor,
                    "stock": stock_value(pools[v.id]) if v.id in pools else None,
                }
                for v in p.variants.all()
            ],
        }
        for p in found
    ]


def shop_values(stream_ids: Sequence[UUID]) -> dict[UUID, dict[str, tuple[int, Any]]]:
    """The stock of every variant of these shops, versioned."""
    found: dict[UUID, dict[str, tuple[int, Any]]] = {}
    pools = Pool.objects.filter(
        shop_id__in=stream_ids,
        parent__isnull=True,
        closed_at__isnull=True,
        variant__in=Variant.objects.filter(product__archived_at__isnull=True),
    )
    for pool in pools:
        found.setdefault(pool.shop_id, {})[f"stock:{pool.variant_id}"] = (pool.version, stock_value(pool))
    return found
