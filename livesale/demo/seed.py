"""The demo's data, made through the real services and commands. What is there already stays: it may be run again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chat.log import clock
from chat.log.execute import execute
from chat.rooms.models import Invite, Membership, Room
from commerce.catalogue.media import add_media
from commerce.catalogue.models import Media, Product, Variant
from commerce.shops.models import DeliveryOption, Shop
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.demo import goods, people, pictures
from livesale.demo.goods import Thing
from livesale.sales.models import Offer, Sale, SaleState

DROP_COUNTDOWN = 120

# (what is being done, how far, of how many)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Seeded:
    """The demo's places."""

    shop_id: UUID
    slug: str
    room_id: UUID
    group_id: UUID
    invite: str


def find() -> Seeded | None:
    """The demo in this database, None when it was never made, or not to its end."""
    shop = Shop.objects.filter(owner__email=people.HOST, name=goods.SHOP).first()
    if shop is None:
        return None
    rooms = dict(Room.objects.filter(tenant_id=shop.id).values_list("name", "id"))
    if goods.SALE_ROOM not in rooms or goods.GROUP_ROOM not in rooms:
        return None
    if not Sale.objects.filter(room_id=rooms[goods.SALE_ROOM], started_at__isnull=False).exists():
        return None
    group = rooms[goods.GROUP_ROOM]
    lasting = Invite.objects.filter(
        room_id=group, revoked_at__isnull=True, expires_at__isnull=True, uses_left__isnull=True
    )
    code = lasting.values_list("code", flat=True).first()
    if code is None:
        code = execute(group, "invite.create", {}, actor_id=shop.owner_id).answer["code"]
    return Seeded(shop.id, shop.slug, rooms[goods.SALE_ROOM], group, code)


def seed(*, crowd: int, progress: Progress = lambda what, done, of: None) -> Seeded:
    """Make what is missing of the demo."""
    host = people.with_login(people.HOST, "Mara")
    people.with_login(people.BUYER, "Robin")
    moderator = people.with_login(people.MODERATOR, "Ida")
    people.make_crowd(crowd)
    shop = Shop.objects.filter(owner=host, name=goods.SHOP).first()
    if shop is None:
        shop = open_shop(name=goods.SHOP, currency=goods.CURRENCY, owner_id=host.id, country=goods.COUNTRY)
    do = _as(host)
    _configure(shop, moderator, do)
    products = _products(shop, do)
    group = _room(shop, "group", goods.GROUP_ROOM, goods.GROUP_ROOM_TEXT, do, open=False)
    room = _room(shop, "sale", goods.SALE_ROOM, goods.SALE_ROOM_TEXT, do, open=True)
    for room_id in (group, room):
        if not Membership.objects.filter(room_id=room_id, person=moderator, role="moderator").exists():
            do(room_id, "member.appoint", {"person": moderator.id, "role": "moderator"})
    _group_talk(group, host, moderator)
    _pictures(shop, room, products, progress)
    _sale(shop, room, products, do)
    found = find()
    assert found is not None
    return found


Do = Callable[[UUID, str, dict[str, Any]], dict[str, Any]]


def _as(person: User) -> Do:
    def do(stream_id: UUID, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return execute(stream_id, name, body, actor_id=person.id).answer

    return do


def _configure(shop: Shop, moderator: User, do: Do) -> None:
    if not shop.terms:
        do(shop.id, "shop.configure", {"terms": goods.TERMS, "contact_email": people.HOST})
    do(shop.id, "staff.add", {"email": moderator.email, "role": "packer"})
    there = set(DeliveryOption.objects.filter(shop=shop).values_list("label", flat=True))
    for option in goods.DELIVERIES:
        if option["label"] not in there:
            do(shop.id, "delivery.add", option)


def _products(shop: Shop, do: Do) -> dict[str, Product]:
    there = {p.code: p for p in Product.objects.filter(shop=shop, archived_at__isnull=True)}
    for thing in goods.THINGS:
        if thing.code not in there:
            variants = [
                {"label": label, "price_minor": price, "stock": stock}
                for label, price, stock in thing.variants
            ]
            body = {
                "code": thing.code,
                "title": thing.title,
                "description": thing.description,
                "variants": variants,
            }
            answer = do(shop.id, "product.create", body)
            there[thing.code] = Product.objects.get(id=answer["product"])
    return there


def poster_name(shop_id: UUID, room_id: UUID) -> str:
    """Where the poster lies, beside the shop's other pictures."""
    return f"shops/{shop_id}/media/{room_id}/poster.webp"


def _pictures(shop: Shop, room: UUID, products: dict[str, Product], progress: Progress) -> None:
    drawn = dict.fromkeys(Media.objects.filter(shop=shop).values_list("product_id", flat=True), True)
    wanted = [
        (thing, picture)
        for thing in goods.THINGS
        if products[thing.code].id not in drawn
        for picture in thing.pictures
    ]
    total = len(wanted) + 1

    def draw(one: tuple[Thing, tuple[str, ...]]) -> bytes:
        return pictures.lossless(pictures.picture(*one[1]))

    with ThreadPoolExecutor(2) as pool:
        for done, ((thing, _), data) in enumerate(zip(wanted, pool.map(draw, wanted), strict=True)):
            progress("drawing pictures", done, total)
            add_media(
                shop_id=shop.id,
                product_id=products[thing.code].id,
                file=BytesIO(data),
                now=clock.now(),
                alt=thing.title,
            )
    name = poster_name(shop.id, room)
    if not default_storage.exists(name):
        progress("drawing pictures", total - 1, total)
        image = pictures.poster(goods.SALE_TITLE, f"live from the workshop · {goods.SHOP}", "LIVE")
        default_storage.save(name, ContentFile(pictures.encoded(image)))
    progress("drawing pictures", total, total)


def _room(shop: Shop, kind: str, name: str, text: str, do: Do, *, open: bool) -> UUID:
    found = Room.objects.filter(tenant_id=shop.id, name=name).values_list("id", flat=True).first()
    if found is not None:
        return found
    return UUID(
        do(shop.id, "room.create", {"kind": kind, "name": name, "description": text, "open": open})["room"]
    )


def _group_talk(group: UUID, host: User, moderator: User) -> None:
    from chat.messages.models import Message

    if Message.objects.filter(room_id=group).exists():
        return
    lines = (
        (host, "Welcome! This is where we plan between the sales."),
        (moderator, "Knitting night is Thursday, I bring the plum cake 🥮"),
        (host, "The kiln opens Friday at four. Hold your thumbs for the blue bowls."),
    )
    for who, text in lines:
        execute(group, "say", {"text": text}, actor_id=who.id)


def _sale(shop: Shop, room: UUID, products: dict[str, Product], do: Do) -> None:
    if Sale.objects.filter(room_id=room, started_at__isnull=False).exists():
        return
    sale = Sale.objects.filter(room_id=room).exclude(state=SaleState.ENDED).first()
    if sale is None:
        do(
            room,
            "sale.schedule",
            {
                "title": goods.SALE_TITLE,
                "starts_at": int(clock.now().timestamp() * 1000),
                "video": {
                    "kind": "mp4",
                    "url": "",
                    "poster": default_storage.url(poster_name(shop.id, room)),
                },
            },
        )
    offers = _add_offers(room, products, do)
    do(room, "sale.start", {})
    do(room, "room.announce", {"text": "Tonight: parcels are free from €80. Type a code, or tap the button."})
    do(
        room,
        "drop.open",
        {
            "offer": offers[goods.WAITING_DROP],
            "allotment": 4,
            "duration_seconds": 90,
            "countdown_seconds": DROP_COUNTDOWN,
            "limit": 1,
            "price_minor": 2_900,
            "waitlist_cap": 20,
        },
    )
    do(room, "offer.feature", {"offer": offers[goods.FEATURED]})


def _add_offers(room: UUID, products: dict[str, Product], do: Do) -> dict[tuple[str, str], UUID]:
    """Every variant of every product as an offer, in the order of the list; those that are there stay."""
    by_variant = dict(
        Offer.objects.filter(room_id=room, removed_at__isnull=True)
        .exclude(sale__state=SaleState.ENDED)
        .values_list("variant_id", "id")
    )
    found: dict[tuple[str, str], UUID] = {}
    for thing in goods.THINGS:
        for variant in Variant.objects.filter(product=products[thing.code]):
            if variant.id not in by_variant:
                body: dict[str, Any] = {
                    "variant": variant.id,
                    "open": thing.code in goods.OPEN_AT_ONCE,
                    "waitlist_cap": 30,
                }
                if thing.limit is not None:
                    body["limit"] = thing.limit
                by_variant[variant.id] = UUID(do(room, "offer.add", body)["offer"])
            found[thing.code, variant.label] = by_variant[variant.id]
    return found
