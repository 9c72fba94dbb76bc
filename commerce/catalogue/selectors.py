"""Reads of the catalogue, always of one shop."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from commerce.catalogue.models import Product
from commerce.stock.models import Pool


def products(*, shop_id: UUID, archived: bool = False) -> QuerySet[Product]:
    """Products with variants, their main pools and pictures, by code."""
    return (
        Product.objects.filter(shop_id=shop_id, archived_at__isnull=not archived)
        .order_by("code", "id")
        .prefetch_related("variants", Prefetch("variants__pools", Pool.objects.filter(parent=None)), "media")
    )


def product_by_code(*, shop_id: UUID, code: str) -> Product | None:
    """What people mean when they type this code."""
    return products(shop_id=shop_id).filter(code=code).first()
