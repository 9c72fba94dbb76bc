"""Shops, their staff and keys. The clock is the caller's: ``now`` is always given."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from uuid import UUID

from django.db import transaction

from commerce.money import exponent
from commerce.shops.models import DeliveryOption, Role, Shop, ShopCounter, ShopKey, ShopStaff


@transaction.atomic
def create_shop(*, name: str, slug: str, currency: str, owner: UUID, now: datetime, **fields: str) -> Shop:
    """A new shop with its owner as first staff. ``fields``: country, language, timezone, terms, contact_email.

    Raises ValueError when ``currency`` is no ISO 4217 code.
    """
    exponent(currency)
    shop = Shop.objects.create(
        name=name, slug=slug, currency=currency, owner_id=owner, created_at=now, **fields
    )
    ShopCounter.objects.create(shop=shop)
    ShopStaff.objects.create(shop=shop, person_id=owner, role=Role.OWNER, created_at=now)
    return shop


def add_staff(*, shop_id: UUID, person: UUID, role: str, now: datetime) -> ShopStaff:
    """Give a person a role in the shop, or change the role they have."""
    staff, _ = ShopStaff.objects.update_or_create(
        shop_id=shop_id,
        person_id=person,
        defaults={"role": Role(role)},
        create_defaults={"role": Role(role), "created_at": now},
    )
    return staff


def remove_staff(*, shop_id: UUID, person: UUID) -> bool:
    """Take a person's role away; the owner of the shop keeps theirs. True when there was one to take."""
    removed, _ = (
        ShopStaff.objects.filter(shop_id=shop_id, person_id=person).exclude(shop__owner_id=person).delete()
    )
    return removed > 0


def add_delivery_option(
    *,
    shop_id: UUID,
    kind: str,
    label: str,
    details: str = "",
    fee_minor: int = 0,
    free_from_minor: int | None = None,
    position: int = 0,
) -> DeliveryOption:
    """A way to deliver with a fee in minor units, or a pick-up point."""
    return DeliveryOption.objects.create(
        shop_id=shop_id,
        kind=DeliveryOption.Kind(kind),
        label=label,
        details=details,
        fee_minor=fee_minor,
        free_from_minor=free_from_minor,
        position=position,
    )


def create_key(*, shop_id: UUID, name: str, ceiling: str, now: datetime) -> tuple[ShopKey, str]:
    """A new API key. The second value is the key itself, shown once: only its digest is kept."""
    prefix = secrets.token_hex(4)
    text = f"ls_{prefix}_{secrets.token_urlsafe(32)}"
    key = ShopKey.objects.create(
        shop_id=shop_id, name=name, prefix=prefix, digest=_digest(text), ceiling=Role(ceiling), created_at=now
    )
    return key, text


def revoke_key(*, shop_id: UUID, key_id: UUID, now: datetime) -> bool:
    """The key opens nothing any more. False when it did not before."""
    return ShopKey.objects.filter(id=key_id, shop_id=shop_id, revoked_at=None).update(revoked_at=now) > 0


def find_key(text: str) -> ShopKey | None:
    """The key with this text, unless it was revoked. Looked up by digest, so the time taken tells nothing."""
    return ShopKey.objects.filter(digest=_digest(text), revoked_at=None).first()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
