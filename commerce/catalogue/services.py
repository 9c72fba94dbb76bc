"""The only writer of products and variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from commerce.catalogue import errors
from commerce.catalogue.models import Product, Variant
from commerce.errors import Refused
from commerce.parts import run
from commerce.stock.models import Pool
from commerce.stock.services import StockBook


@dataclass(frozen=True, slots=True)
class NewVariant:
    """A variant to begin with: its price in minor units and the units in stock."""

    price_minor: int
    label: str = ""
    sku: str = ""
    units: int = 0


@transaction.atomic
def create_product(
    *,
    shop_id: UUID,
    code: str,
    title: str,
    variants: Iterable[NewVariant],
    now: datetime,
    description: str = "",
    actor: UUID | None = None,
) -> Product:
    """A product with its variants, each with a pool of its own. Raises `Refused` when the code is in use."""
    code = _code(code)
    wanted = list(variants)
    if not wanted or any(type(v.price_minor) is not int or v.price_minor < 0 for v in wanted):
        raise Refused(errors.BAD_PRICE)
    try:
        with transaction.atomic():
            product = Product.objects.create(
                shop_id=shop_id, code=code, title=title, description=description, created_at=now
            )
    except IntegrityError as error:
        raise Refused(errors.CODE_TAKEN, taken=code) from error
    rows = [
        Variant(
            shop_id=shop_id, product=product, label=v.label, sku=v.sku, price_minor=v.price_minor, position=at
        )
        for at, v in enumerate(wanted)
    ]
    Variant.objects.bulk_create(rows)
    pools = [Pool(shop_id=shop_id, variant=row) for row in rows]
    Pool.objects.bulk_create(pools)
    stock = StockBook()
    stock.want(*(pool.id for pool in pools))

    def receive() -> None:
        for pool, variant in zip(pools, wanted, strict=True):
            if variant.units:
                stock.receive(pool_id=pool.id, qty=variant.units, actor=actor, reason="initial")

    run(stock, now=now, decide=receive)
    return product


def update_product(
    *,
    shop_id: UUID,
    product_id: UUID,
    code: str | None = None,
    title: str | None = None,
    description: str | None = None,
    prices: dict[UUID, int] | None = None,
) -> Product:
    """Change what is named; ``prices``: variant → minor units, for claims from now on."""
    product = Product.objects.filter(id=product_id, shop_id=shop_id, archived_at=None).first()
    if product is None:
        raise Refused(errors.UNKNOWN)
    if any(type(price) is not int or price < 0 for price in (prices or {}).values()):
        raise Refused(errors.BAD_PRICE)
    product.code = product.code if code is None else _code(code)
    product.title = product.title if title is None else title
    product.description = product.description if description is None else description
    try:
        with transaction.atomic():
            product.save(update_fields=["code", "title", "description"])
            for variant_id, price in (prices or {}).items():
                if not Variant.objects.filter(id=variant_id, product=product).update(price_minor=price):
                    raise Refused(errors.UNKNOWN)
    except IntegrityError as error:
        raise Refused(errors.CODE_TAKEN, taken=product.code) from error
    return product


def archive_product(*, shop_id: UUID, product_id: UUID, now: datetime) -> bool:
    """Out of the lists, its code is free again; orders keep their lines. False when it was archived before."""
    return (
        Product.objects.filter(id=product_id, shop_id=shop_id, archived_at=None).update(archived_at=now) > 0
    )


def _code(code: str) -> str:
    code = code.strip()
    if not code or len(code) > 24 or any(c.isspace() for c in code):
        raise Refused(errors.BAD_CODE)
    return code
