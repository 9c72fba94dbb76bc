"""What a shop's stream tells, and who may follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from chat.log.registry import Access, access, event, latest_values, snapshot_part
from chat.log.visibility import Viewer
from chat.rooms.models import Room
from chat.rooms.selectors import use_tenant_roles
from commerce.shops.models import Shop, ShopStaff
from commerce.shops.selectors import staff_role
from livesale.backoffice.selectors import product_cards, shop_card, shop_values
from livesale.backoffice.staff import PERMISSIONS, ask_tenant_roles

use_tenant_roles(ask_tenant_roles)


class ShopCard(msgspec.Struct):
    """The shop as everyone sees it."""

    id: UUID
    name: str
    slug: str
    currency: str
    terms: str
    delivery: list[dict[str, Any]]


class ProductCard(msgspec.Struct):
    """One product, whole, with its variants and stock; archived ones are gone from the lists."""

    product: UUID
    code: str
    title: str
    description: str
    archived: bool
    images: list[dict[str, str]]
    variants: list[dict[str, Any]]


class RoomOpened(msgspec.Struct):
    """The shop has a new room."""

    room: UUID
    kind: str
    name: str
    open: bool


class StaffChanged(msgspec.Struct):
    """To the staff: a person has another role in the shop, or none."""

    person: UUID
    role: str | None


def _hydrate_shops(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [shop_card(UUID(b["id"])) or b for b in bodies]


def _hydrate_products(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    cards = {
        card["product"]: card for card in product_cards(product_ids=[UUID(b["product"]) for b in bodies])
    }
    return [cards.get(b["product"], b) for b in bodies]


def _hydrate_opened(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    # the name of a room is somebody's words
    names = {
        str(id_): name
        for id_, name in Room.objects.filter(id__in=[b["room"] for b in bodies]).values_list("id", "name")
    }
    return [{**b, "name": names.get(b["room"], "")} for b in bodies]


SHOP_CHANGED = event("shop.changed", ShopCard, hydrate=_hydrate_shops)
PRODUCT_CHANGED = event("product.changed", ProductCard, hydrate=_hydrate_products)
ROOM_OPENED = event("room.opened", RoomOpened, hydrate=_hydrate_opened)
STAFF_CHANGED = event("staff.changed", StaffChanged, changes_access=True)


@access("shop")
def shop_access(pairs: Sequence[tuple[UUID, UUID | None]]) -> dict[tuple[UUID, UUID | None], Access]:
    """Anyone may look at a shop; its staff see more."""
    shops = {shop for shop, _ in pairs}
    people = {person for _, person in pairs if person is not None}
    staff = set(
        ShopStaff.objects.filter(shop_id__in=shops, person_id__in=people).values_list("shop_id", "person_id")
    )
    known = set(Shop.objects.filter(id__in=shops).values_list("id", flat=True))
    return {pair: Access(read=True, staff=pair in staff) for pair in pairs if pair[0] in known}


def _me(shop_id: UUID, viewer: Viewer) -> dict[str, Any]:
    role = staff_role(shop_id=shop_id, person=viewer.person_id) if viewer.person_id else None
    return {
        "person": viewer.person_id,
        "role": role or "guest",
        "permissions": sorted(PERMISSIONS[role]) if role else [],
    }


snapshot_part("shop", "shop", public=shop_card)
snapshot_part("shop", "products", public=lambda shop_id: product_cards(shop_id=shop_id))
snapshot_part("shop", "me", personal=_me)
latest_values(shop_values)
