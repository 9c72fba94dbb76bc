"""People, a shop and a sale: `echo market live picture | python -m tests.browser.world` answers with JSON.

One world a line. The first word is its name and the host part of its people's addresses; the others say what it has.
"""

from __future__ import annotations

import json
import random
import sys
from functools import cache
from io import BytesIO
from typing import Any

import django

PASSWORD = "correct horse 7"
WISHES = {"live", "picture", "poster", "sizes", "markup"}


def photograph(width: int = 1600, height: int = 1200) -> BytesIO:
    """A picture about as hard to compress as one from a phone: soft shapes, some texture. The same every time."""
    from PIL import Image, ImageDraw, ImageFilter

    chance = random.Random(7)
    image = Image.new("RGB", (width, height), (196, 187, 171))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = chance.randrange(width), chance.randrange(height), chance.randrange(20, 260)
        colour = tuple(chance.randrange(40, 230) for _ in "rgb")
        draw.ellipse((x - r, y - r // 2, x + r, y + r // 2), fill=colour)
    grain = (
        Image.frombytes("L", (400, 300), chance.randbytes(400 * 300)).resize((width, height)).convert("RGB")
    )
    image = Image.blend(image.filter(ImageFilter.GaussianBlur(3)), grain, 0.08)
    out = BytesIO()
    image.save(out, "PNG", compress_level=1)
    out.seek(0)
    return out


@cache
def _hashed() -> str:
    """Once for all: a hash takes a third of a second."""
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)


def build(name: str, wishes: set[str]) -> dict[str, Any]:
    from uuid import UUID

    from django.core.files.storage import default_storage
    from django.utils import timezone

    from chat.log.execute import execute
    from commerce.catalogue.media import add_media
    from livesale.accounts.models import User
    from livesale.backoffice.services import open_shop

    people = {
        who: User.objects.create(email=f"{who}@{name}.test", password=_hashed(), name=who.title())
        for who in ("host", "moderator", "anna", "boris")
    }
    host = people["host"].id
    shop = open_shop(name="Corner shop", currency="EUR", owner_id=host)

    def do(stream: UUID, command: str, **body: Any) -> Any:
        return execute(stream, command, body, actor_id=host).answer

    sizes = ("M", "L") if "sizes" in wishes else ("M",)
    variants = [{"label": size, "price_minor": 1990, "stock": 3} for size in sizes]
    made = do(shop.id, "product.create", code="12", title="Wool scarf", variants=variants)
    poster = ""
    if wishes & {"picture", "poster"}:
        product = UUID(made["product"])
        media = add_media(shop_id=shop.id, product_id=product, file=photograph(), now=timezone.now())
        poster = default_storage.url(media.renditions["1080"]["file"]) if "poster" in wishes else ""

    room = UUID(do(shop.id, "room.create", kind="sale", name="Saturday")["room"])
    video = {"video": {"kind": "hls", "poster": poster}} if poster else {}
    do(room, "sale.schedule", title="Saturday night", **video)
    offers = [
        do(room, "offer.add", variant=variant, waitlist_cap=5, open="live" in wishes)["offer"]
        for variant in made["variants"]
    ]
    execute(room, "member.join", actor_id=people["moderator"].id)
    do(room, "member.appoint", person=str(people["moderator"].id), role="moderator")
    if "live" in wishes:
        do(room, "sale.start")
        do(room, "offer.feature", offer=offers[0])
    code = do(room, "invite.create")["code"]
    if "markup" in wishes:
        say_markup(do, people, shop.id, room, made)
    return {
        "name": name,
        "room": str(room),
        "shop": str(shop.id),
        "slug": shop.slug,
        "code": code,
        "offers": [str(offer) for offer in offers],
        "password": PASSWORD,
    }


def say_markup(do: Any, people: Any, shop: Any, room: Any, made: Any) -> None:
    """Everything that somebody may write is markup from now on: names, titles, messages, reasons, terms."""
    from chat.log.execute import execute
    from livesale.accounts.models import User
    from tests.browser.markup import MARKUP, markup

    for n, person in enumerate(people.values()):
        User.objects.filter(id=person.id).update(name=markup(n))
    do(shop, "shop.configure", name=markup(1), terms=markup(4), contact_email="")
    do(shop, "delivery.add", kind="delivery", label=markup(0), details=markup(2))
    do(shop, "product.update", product=made["product"], title=markup(1), description=markup(3))
    for n, code in enumerate(("77", "78", "79")):
        variants = [{"label": markup(n)[:40], "price_minor": 500, "stock": 9}]
        variant = do(shop, "product.create", code=code, title=markup(4 + n), variants=variants)["variants"][0]
        do(room, "offer.add", variant=variant)
    do(room, "room.configure", name=markup(1)[:80], description=markup(4))
    do(room, "sale.configure", title=markup(2))
    do(room, "room.announce", text=markup(5))
    boris = people["boris"].id
    said = [
        execute(room, "message.send", {"text": f"{n} {text}"}, actor_id=boris).answer["message"]
        for n, text in enumerate(MARKUP[:4])
    ]
    said += [do(room, "message.send", text=f"{n} {text}")["message"] for n, text in enumerate(MARKUP[4:], 4)]
    do(room, "message.pin", message=said[4])
    moderator = people["moderator"].id
    execute(room, "message.report", {"message": said[0], "reason": markup(0)}, actor_id=moderator)
    execute(
        room,
        "member.timeout",
        {"person": str(boris), "seconds": 3600, "reason": markup(2)},
        actor_id=moderator,
    )


def main() -> None:
    django.setup()
    for line in sys.stdin:
        name, *wishes = line.split()
        assert set(wishes) <= WISHES, wishes
        print(json.dumps(build(name, set(wishes))), flush=True)


if __name__ == "__main__":
    main()
