"""Opening a shop: the shop, its counter, its first staff and its stream, in one transaction."""

from __future__ import annotations

import secrets
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify

from chat.log import clock
from chat.log.errors import Refused, describe
from chat.log.streams import create_stream
from chat.messages.text import clean
from commerce.shops.models import Shop
from commerce.shops.services import add_delivery_option, create_shop

describe("shop.currency", "That is not a currency code.")


def open_shop(*, name: str, currency: str, owner_id: UUID, country: str = "", language: str = "en") -> Shop:
    """Open a shop for its owner; its id is also its stream's id. Raises `text.*`, `shop.currency`."""
    name = clean(name, limit=120)
    slug = slugify(name)[:50] or "shop"
    with transaction.atomic():
        if Shop.objects.filter(slug=slug).exists():
            slug = f"{slug}-{secrets.token_hex(3)}"
        try:
            shop = create_shop(
                name=name,
                slug=slug,
                currency=currency.upper(),
                owner=owner_id,
                now=clock.now(),
                country=country.upper()[:2],
                language=language,
            )
        except ValueError:
            raise Refused("shop.currency") from None
        add_delivery_option(shop_id=shop.id, kind="pickup", label="", position=0)
        create_stream(kind="shop", tenant_id=shop.id, stream_id=shop.id)
    return shop
