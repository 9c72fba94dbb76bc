"""Nothing is there: somebody signs up, makes a shop with a product and its picture, goes live, and shares the link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.people import PHONE, Person
from tests.browser.world import photograph


@pytest.mark.browser
def test_from_nothing_to_a_sale_that_others_see(person: Callable[..., Person], tmp_path: Path) -> None:
    picture = tmp_path / "IMG_2041.png"
    picture.write_bytes(photograph().getvalue())
    owner = person("owner", **PHONE)
    page = owner.open("/")

    # an account
    page.get_by_role("link", name="Start selling").click()
    page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Name").fill("Olga")
    page.get_by_label("E-mail").fill("olga@first-run.test")
    page.get_by_label("Password").fill("correct horse 7")
    page.get_by_role("button", name="Create an account").click()

    # a shop, a product with its picture, a room
    page.get_by_label("Name of the shop").fill("Olga's wool")
    page.get_by_label("Currency").select_option("EUR")
    owner.picture("first-run-1-shop")
    page.get_by_role("button", name="Open the shop").click()
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_label("What is it?").fill("Red mittens")
    page.get_by_label("Price (EUR)").fill("12,50")
    page.get_by_label("How many").fill("4")
    owner.picture("first-run-2-product")
    with page.expect_response("**/media/") as upload:
        page.get_by_role("button", name="Save product").click()
    assert upload.value.status == 201, upload.value.text()
    expect(page.get_by_text("1 product added")).to_be_visible()
    page.get_by_label("Name of the sale").fill("Mittens on Monday")
    owner.picture("first-run-3-room")
    page.get_by_role("button", name="Open the room").click()

    # the link to pass on, and live
    link = page.get_by_label("Invite people").and_(page.locator("input")).input_value()
    owner.picture("first-run-4-share")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Go live").click()
    expect(page.get_by_role("button", name="On screen")).to_be_visible()
    owner.picture("first-run-5-live")

    # somebody who got the link sees the product, with its picture
    guest = person("guest", **PHONE)
    guest.page.goto(link)
    card = guest.page.get_by_role("region", name="Now: Red mittens")
    expect(card.get_by_text("4 left")).to_be_visible()
    expect(card.get_by_text("€12.50")).to_be_visible()
    shown = card.get_by_role("img", name="Red mittens")
    expect(shown).to_be_visible()
    guest.page.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=shown.element_handle()
    )
    guest.picture("first-run-6-link")

    assert owner.troubles == []
    assert guest.troubles == []
