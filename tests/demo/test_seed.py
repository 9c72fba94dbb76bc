"""What the demo is made of: data that can be made twice, pictures that are small, lines that mean what they say."""

from __future__ import annotations

import random
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from chat.messages.text import clean
from commerce.catalogue.models import Media, Product
from commerce.shops.models import DeliveryOption, Shop
from livesale.accounts.models import User
from livesale.claims.language import parse
from livesale.demo import goods, people, pictures, seed, words
from livesale.sales.models import Offer, Sale


@pytest.mark.django_db(transaction=True)
def test_seeding_twice_adds_nothing(settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MEDIA_ROOT = tmp_path
    small = Image.new("RGB", (8, 8), "#c06f4b")
    monkeypatch.setattr(pictures, "picture", lambda *_: small)
    monkeypatch.setattr(pictures, "poster", lambda *_: small)
    models = (User, Shop, Product, Media, DeliveryOption, Sale, Offer)
    assert seed.find() is None
    made = seed.seed(crowd=5)
    before = [m.objects.count() for m in models]
    assert seed.seed(crowd=5).room_id == made.room_id
    assert [m.objects.count() for m in models] == before

    sale = Sale.objects.get(room_id=made.room_id)
    offers = Offer.objects.filter(sale=sale)
    assert sale.state == "live" and sale.video_poster.startswith("/media/shops/")
    assert offers.filter(id=sale.featured_id, drop_opens_at__isnull=True).exists()
    assert offers.filter(drop_opens_at__gt=sale.started_at).count() == 1
    assert offers.filter(state="queued").exists()
    assert {p.id for p in Product.objects.all()} == set(Media.objects.values_list("product_id", flat=True))
    assert {"delivery", "pickup"} <= set(
        DeliveryOption.objects.exclude(label="").values_list("kind", flat=True)
    )
    found = seed.find()
    assert found is not None and (found.shop_id, found.room_id) == (made.shop_id, made.room_id)


@pytest.mark.parametrize("thing", sorted(pictures.THINGS))
def test_pictures_are_small_and_always_the_same(thing: str) -> None:
    colours = next(p[1:] for t in goods.THINGS for p in t.pictures if p[0] == thing)
    drawn = pictures.picture(thing, *colours)
    assert drawn.tobytes() == pictures.picture(thing, *colours).tobytes()
    drawn.thumbnail((480, 480), Image.Resampling.LANCZOS)
    out = BytesIO()
    drawn.save(out, "WEBP", quality=82, method=4)
    assert len(out.getvalue()) <= 12_000


@dataclass(frozen=True)
class _Offer:
    id: UUID
    code: str
    label: str


_OFFERS = [_Offer(uuid4(), t.code, label) for t in goods.THINGS for label, _, _ in t.variants]


def _lines() -> list[str]:
    told = [words.HELLO, words.PRAISE, words.SMALL_TALK, words.GOT, words.WAITING, words.MISSED, words.TURN,
            words.PAID, words.COUNTDOWN, words.LET_GO]  # fmt: skip
    lines = [line for some in told for each in some.values() for line in each]
    lines += [*words.ANSWERS, *words.ANSWERS.values(), *words.TO_A_PERSON, *(t.hello for t in goods.THINGS)]
    return [line.format(city="Cork", thing="bowl", place=2, name="Ann") for line in lines]


def test_small_talk_is_never_an_order() -> None:
    for line in _lines():
        assert clean(line) == line
        assert parse(line, _OFFERS, _OFFERS[0].id) is None, line


def test_typed_claims_mean_the_offer() -> None:
    dice = random.Random(1)
    for language in ("en", "de", "zh-hans", "fr"):
        for offer in _OFFERS:
            for qty in (1, 2):
                text = words.typed_claim(language, offer.code, offer.label, qty, True, dice)
                parsed = parse(text, _OFFERS, offer.id)
                assert parsed is not None and (parsed.offer_id, parsed.qty) == (offer.id, qty), text


def test_names_of_the_crowd_differ() -> None:
    names = [people.someone(n).name for n in range(people.MOST)]
    assert len(set(names)) == len(names)
    assert len({s.language for s in people.CROWD}) >= 10
