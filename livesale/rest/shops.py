"""Shops: opening one, its public card, its products and their pictures, its rooms."""

from __future__ import annotations

from typing import Annotated, Any, BinaryIO, cast
from uuid import UUID

import msgspec
from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils.translation import get_language
from rest_framework.request import Request

from chat.log import clock, reading
from chat.log.errors import Refused, describe
from chat.log.execute import execute
from chat.rooms.events import RoomCard
from chat.rooms.models import Membership, Room
from chat.rooms.selectors import room_card
from commerce.catalogue.media import MOST_BYTES, add_media
from commerce.shops.models import Shop
from commerce.shops.selectors import shop_by_slug, staff_role, staff_roles
from livesale.backoffice.events import ProductCard
from livesale.backoffice.selectors import product_cards, shop_card
from livesale.backoffice.services import open_shop
from livesale.backoffice.staff import PERMISSIONS
from livesale.rest.api import Api, json_response, operation
from livesale.rest.throttle import throttle

describe("shop.unknown", "There is no such shop.")

ROOMS_SHOWN = 200
# Characters of what a picture shows, for those who do not see it.
MOST_OF_ALT = 200


class ShopOfMine(msgspec.Struct, frozen=True):
    """A shop in which one works."""

    id: UUID
    name: str
    slug: str
    currency: str
    role: str


class OpenShop(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new shop. Its currency (ISO 4217) stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{3}$")]
    country: Annotated[str, msgspec.Meta(pattern="^([A-Za-z]{2})?$")] = ""


class Opened(msgspec.Struct, frozen=True):
    """The shop, which is also the id of its stream."""

    shop: UUID
    slug: str


class ShopPage(msgspec.Struct, frozen=True):
    """What everyone may see of a shop."""

    id: UUID
    name: str
    slug: str
    currency: str
    terms: str
    delivery: list[dict[str, Any]]
    products: list[ProductCard]
    rooms: list[RoomCard]


class Products(msgspec.Struct, frozen=True):
    """Products with variants, pictures and stock, by code."""

    products: list[ProductCard]


class Rooms(msgspec.Struct, frozen=True):
    """Rooms, the newest first."""

    rooms: list[RoomCard]


class Picture(msgspec.Struct, frozen=True):
    """A picture of a product, to be sent as a form."""

    file: bytes
    alt: Annotated[str, msgspec.Meta(max_length=MOST_OF_ALT)] = ""


class PictureAnswer(msgspec.Struct, frozen=True):
    """The picture as it is kept: `renditions` by width."""

    media: UUID
    alt: str
    renditions: dict[str, str]


def shops_of(person_id: UUID) -> list[ShopOfMine]:
    """Every shop in which this person works."""
    roles = staff_roles(person=person_id)
    return [
        ShopOfMine(shop.id, shop.name, shop.slug, shop.currency, roles[shop.id])
        for shop in Shop.objects.filter(id__in=roles).order_by("name", "id")
    ]


def find_shop(name: str) -> Shop:
    """The shop with this id or slug. Raises `shop.unknown`."""
    try:
        shop = Shop.objects.filter(id=UUID(name)).first()
    except ValueError:
        shop = None
    shop = shop or shop_by_slug(name)
    if shop is None:
        raise Refused("shop.unknown")
    return shop


def require_staff(shop_id: UUID, person_id: UUID, permission: str) -> str:
    """The person's role in the shop, if it has the permission. Raises `permission.denied`."""
    role = staff_role(shop_id=shop_id, person=person_id)
    if role is None or permission not in PERMISSIONS[role]:
        raise Refused("permission.denied")
    return role


def rooms_of(shop_id: UUID, person_id: UUID | None) -> list[dict[str, Any]]:
    """The shop's rooms that this person may read; archived ones only for those who work there."""
    rooms = Room.objects.filter(tenant_id=shop_id).order_by("-created_at", "-id")
    if person_id is None or staff_role(shop_id=shop_id, person=person_id) is None:
        # other people's groups are not counted among those that are shown
        mine = Membership.objects.filter(person_id=person_id, tenant_id=shop_id).values("room_id")
        rooms = rooms.filter(Q(open=True) | Q(id__in=mine), archived_at__isnull=True)
    found = list(rooms[:ROOMS_SHOWN])
    access = reading.access([room.id for room in found], person_id)
    return [room_card(room) for room in found if access[room.id].read]


class ShopsView(Api):
    throttle_classes = [throttle("shops", 10, 3600)]

    @operation("shop.open", answer=Opened, body=OpenShop, status=201)
    def post(self, request: Request, body: OpenShop) -> Opened:
        """Open a shop of one's own."""
        shop = open_shop(
            name=body.name,
            currency=body.currency,
            owner_id=self.require_person(),
            country=body.country,
            language=get_language() or "en",
        )
        return Opened(shop.id, shop.slug)


class ShopView(Api):
    @operation("shop.card", answer=ShopPage, guests=True)
    def get(self, request: Request, shop: str) -> dict[str, Any]:
        """A shop by id or slug: its card, products and rooms."""
        found = find_shop(shop)
        return {
            **(shop_card(found.id) or {}),
            "products": product_cards(shop_id=found.id),
            "rooms": rooms_of(found.id, self.person_id),
        }


class ProductsView(Api):
    @operation("shop.products", answer=Products, guests=True)
    def get(self, request: Request, shop: str) -> dict[str, Any]:
        """A shop's products."""
        return {"products": product_cards(shop_id=find_shop(shop).id)}


class RoomsView(Api):
    @operation("shop.rooms", answer=Rooms, guests=True)
    def get(self, request: Request, shop: str) -> dict[str, Any]:
        """A shop's rooms, as far as this person may read them."""
        return {"rooms": rooms_of(find_shop(shop).id, self.person_id)}


class MediaView(Api):
    throttle_classes = [throttle("media", 120)]

    @operation(
        "product.add_picture",
        answer=PictureAnswer,
        body=Picture,
        body_type="multipart/form-data",
        status=201,
    )
    def post(self, request: Request, shop: str, product: UUID) -> Any:
        """Add a picture to a product. What the camera wrote about itself is removed."""
        found = find_shop(shop)
        require_staff(found.id, self.require_person(), "catalogue.edit")
        asked = request._request
        if int(asked.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES + 64 * 1024:
            raise Refused("media.too_large", most=MOST_BYTES)
        if asked.content_type != "multipart/form-data":
            raise Refused("body.wrong_type", wanted="multipart/form-data")
        file = asked.FILES.get("file")
        if file is None or file.file is None:
            raise Refused("command.invalid", reason="file is missing")
        alt = asked.POST.get("alt", "").replace("\x00", "")
        if len(alt) > MOST_OF_ALT:
            raise Refused("command.invalid", reason=f"alt is longer than {MOST_OF_ALT} characters")
        media = add_media(
            shop_id=found.id,
            product_id=product,
            file=cast(BinaryIO, file.file),
            now=clock.now(),
            alt=alt,
        )
        execute(found.id, "product.told", {"product": str(product)})
        renditions = {width: default_storage.url(r["file"]) for width, r in media.renditions.items()}
        return json_response(PictureAnswer(media.id, media.alt, renditions), status=201)
