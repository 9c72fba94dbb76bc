"""Shops, staff, keys, products, pictures, lists."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from PIL import Image
from uuid_utils.compat import uuid7

from commerce.catalogue import media, selectors
from commerce.catalogue.services import NewVariant, archive_product, create_product, update_product
from commerce.errors import Refused
from commerce.models import Media, Product, ShopKey
from commerce.orders import selectors as order_selectors
from commerce.shops import selectors as shop_selectors
from commerce.shops.services import add_staff, create_key, create_shop, find_key, remove_staff, revoke_key
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


def test_a_shop_needs_a_currency(db: None) -> None:
    with pytest.raises(ValueError, match="ISO"):
        create_shop(name="x", slug="x", currency="XXY", owner=uuid7(), now=None)


def test_roles(world: World) -> None:
    helper = get_user_model().objects.create(name="Helper").id

    def role(who=helper):
        return shop_selectors.staff_role(shop_id=world.shop_id, person=who)

    assert (role(), role(world.owner)) == (None, "owner")
    add_staff(shop_id=world.shop_id, person=helper, role="packer", now=world.now)
    add_staff(shop_id=world.shop_id, person=helper, role="host", now=world.now)
    assert role() == "host"
    assert shop_selectors.staff_role(shop_id=World.create().shop_id, person=helper) is None
    assert remove_staff(shop_id=world.shop_id, person=helper)
    assert not remove_staff(shop_id=world.shop_id, person=world.owner)
    assert (role(), role(world.owner)) == (None, "owner")
    with pytest.raises(ValueError, match="king"):
        add_staff(shop_id=world.shop_id, person=helper, role="king", now=world.now)


def test_keys_are_kept_as_digests(world: World) -> None:
    key, text = create_key(shop_id=world.shop_id, name="till", ceiling="host", now=world.now)
    assert text not in str(ShopKey.objects.values().get())
    assert find_key(text) == key
    assert find_key(text + "x") is None
    assert not revoke_key(shop_id=uuid7(), key_id=key.id, now=world.now)
    assert revoke_key(shop_id=world.shop_id, key_id=key.id, now=world.now)
    assert find_key(text) is None


def product(world: World, code: str = "13", **more) -> Product:
    variants = [NewVariant(1000, "S", units=2), NewVariant(1200, "M")]
    return create_product(
        shop_id=world.shop_id, code=code, title="Hat", variants=variants, now=world.now, **more
    )


def test_a_product_with_variants_and_stock(world: World) -> None:
    found = product(world)
    small, medium = found.variants.all()
    assert [(v.label, v.price_minor, v.pools.get().stock) for v in (small, medium)] == [
        ("S", 1000, 2),
        ("M", 1200, 0),
    ]
    assert selectors.product_by_code(shop_id=world.shop_id, code="13") == found
    assert selectors.product_by_code(shop_id=World.create().shop_id, code="13") is None
    assert drifts() == []


def test_codes_are_unique_among_what_is_not_archived(world: World) -> None:
    first = product(world)
    with pytest.raises(Refused, match=r"product\.code_taken"):
        product(world)
    assert archive_product(shop_id=world.shop_id, product_id=first.id, now=world.now)
    assert not archive_product(shop_id=world.shop_id, product_id=first.id, now=world.now)
    second = product(world)
    with pytest.raises(Refused, match=r"product\.code_taken"):
        update_product(shop_id=world.shop_id, product_id=second.id, code="12")
    for code in ("", "a b", "x" * 25):
        with pytest.raises(Refused, match=r"product\.bad_code"):
            product(world, code=code)


def test_changing_a_product(world: World) -> None:
    found = product(world)
    small = found.variants.first()
    update_product(
        shop_id=world.shop_id, product_id=found.id, title="Cap", description="warm", prices={small.id: 900}
    )
    small.refresh_from_db()
    found.refresh_from_db()
    assert (found.title, found.description, small.price_minor) == ("Cap", "warm", 900)
    for price in (-1, 1.5, True):
        with pytest.raises(Refused, match=r"product\.bad_price"):
            update_product(shop_id=world.shop_id, product_id=found.id, prices={small.id: price})
    with pytest.raises(Refused, match=r"product\.unknown"):
        update_product(shop_id=uuid7(), product_id=found.id, title="x")
    with pytest.raises(Refused, match=r"product\.unknown"):
        update_product(shop_id=world.shop_id, product_id=found.id, title="y", prices={uuid7(): 1})
    found.refresh_from_db()
    assert found.title == "Cap"


# -- pictures


@pytest.fixture(autouse=True)
def _media_root(settings, tmp_path) -> None:
    settings.MEDIA_ROOT = tmp_path


def picture(width: int, height: int, form: str = "JPEG", **more) -> BytesIO:
    out = BytesIO()
    Image.new("RGB", (width, height), "red").save(out, form, **more)
    out.seek(0)
    return out


def add(world: World, file: BytesIO) -> Media:
    found = Product.objects.get(shop_id=world.shop_id)
    return media.add_media(shop_id=world.shop_id, product_id=found.id, file=file, now=world.now, alt="red")


def test_three_widths_upright_and_without_what_the_camera_wrote(world: World) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "Camera"
    kept = add(world, picture(1200, 600, exif=exif))
    assert (kept.width, kept.height) == (600, 1200)
    sizes = {name: (r["width"], r["height"]) for name, r in kept.renditions.items()}
    assert sizes == {"160": (160, 320), "480": (480, 960), "1080": (600, 1200)}
    for name in (kept.file.name, *(r["file"] for r in kept.renditions.values())):
        with default_storage.open(name) as stored:
            image = Image.open(stored)
            assert (image.format, len(image.getexif())) == ("WEBP", 0)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_other_formats(world: World, form: str) -> None:
    assert add(world, picture(20, 10, form)).renditions["160"]["width"] == 20


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "media.not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "media.not_an_image"),
        (picture(50, 50).getvalue()[:300], "media.not_an_image"),
        (b"\xff" * (15 * 1024 * 1024 + 1), "media.too_large"),
        (picture(8000, 6251, "PNG").getvalue(), "media.too_many_pixels"),
    ],
)
def test_what_is_no_picture_leaves_no_file(world: World, tmp_path, content: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        add(world, BytesIO(content))
    assert caught.value.code == code
    assert not list(tmp_path.rglob("*.*"))


def test_pictures_of_another_shops_product(world: World) -> None:
    other = Product.objects.get(shop_id=World.create().shop_id)
    with pytest.raises(Refused, match=r"product\.unknown"):
        media.add_media(shop_id=world.shop_id, product_id=other.id, file=picture(1, 1), now=world.now)


# -- lists


def test_a_buyers_panel(world: World, django_assert_max_num_queries) -> None:
    buyer = person()
    paid, _ = world.paid(buyer, 2)
    held = world.claim(buyer, 3)
    world.claim(person(), 5)
    world.claim(person(), 1)
    world.claim(buyer, 2)
    with django_assert_max_num_queries(5):
        panel = order_selectors.panel(shop_id=world.shop_id, buyer=buyer)
        assert [line.id for line in panel.holds] == [held.line_id]
        assert [(place.qty, place.place) for place in panel.places] == [(2, 2)]
        assert [order.id for order in panel.orders] == [held.order_id, paid.order_id]
        assert [line.qty for order in panel.orders for line in order.lines.all()] == [3, 2]
    empty = order_selectors.panel(shop_id=World.create().shop_id, buyer=buyer)
    assert (empty.holds, empty.places, empty.orders) == ([], [], [])


def test_a_shops_orders_and_their_export(world: World) -> None:
    paid, _ = world.paid(person(), 2)
    world.claim(person())
    assert [o.id for o in order_selectors.orders(shop_id=world.shop_id)] == [paid.order_id]
    assert order_selectors.orders(shop_id=world.shop_id, with_baskets=True).count() == 2
    assert order_selectors.orders(shop_id=uuid7()).count() == 0
    assert order_selectors.order(shop_id=uuid7(), order_id=paid.order_id) is None
    from commerce.models import Order

    Order.objects.filter(id=paid.order_id).update(note="=HYPERLINK(1)")
    header, row = order_selectors.csv_rows(shop_id=world.shop_id)
    cells = dict(zip(header, row, strict=True))
    assert (cells["number"], cells["units"], str(cells["unit_price"])) == (1, 2, "15.00")
    assert cells["note"] == "'=HYPERLINK(1)"
    assert order_selectors.buyer_order(shop_id=world.shop_id, buyer=person(), order_id=paid.order_id) is None
