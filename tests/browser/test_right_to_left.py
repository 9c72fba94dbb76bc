"""A room as somebody sees it who reads from right to left, among people who do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import DESK, PHONE, MakeWorld, Person
from tests.browser.test_access import barriers

# Each with the direction of its first strong letter.
SAID = {
    "مساء الخير! كم سعر الوشاح رقم 12؟": "rtl",
    "ערב טוב, יש מידה M בכחול?": "rtl",
    # an address says nothing of the language around it
    "https://shop.example/scarf جميل": "rtl",
    "انظر https://shop.example/a?b=1 شكرا": "rtl",
    "Good evening, is 12 still there?": "ltr",
    "مرحبا Anna, 2 × 19.90 €": "rtl",
}

# Which way each text of the feed runs.
DIRECTIONS = """() => Object.fromEntries([...document.querySelectorAll('.said .text')].map(e =>
  [e.textContent, getComputedStyle(e).direction]))"""
# To which side of its box a text leans.
LEANS = """e => {
  const words = document.createRange()
  words.selectNodeContents(e)
  const [of, box] = [words.getBoundingClientRect(), e.getBoundingClientRect()]
  return box.right - of.right < of.left - box.left + 1 ? 'right' : 'left'
}"""
# What reaches beyond its page or its box, wherever the page begins.
BEYOND = """() => [...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect()
  const hidden = e.closest('.visually-hidden, dialog:not([open])')
  return box.width > 0 && !hidden && (box.left < -1 || box.right > innerWidth + 1)
}).map(e => e.outerHTML.slice(0, 120))"""


# Pages as the server would write them in a language that is written from right to left.
TURNED = """new MutationObserver((_, watch) => {
  if (!document.documentElement) return
  watch.disconnect()
  document.documentElement.lang = 'ar'
  document.documentElement.dir = 'rtl'
}).observe(document, {childList: true})"""


def middle(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["x"] + box["width"] / 2


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_a_room_from_right_to_left(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("rtl", "live", "picture", "sizes")
    room = world["room"]
    host = person("host", **DESK)
    host.sign_in(world, f"/r/{room}/")
    for text in SAID:
        host.say(text)
        expect(host.page.locator(".said .text").get_by_text(text, exact=True).first).to_be_visible()
    assert host.page.evaluate(DIRECTIONS) == SAID

    anna = person("anna", **PHONE)
    page = anna.sign_in(world, "/account/")
    page.add_init_script(TURNED)
    anna.open(f"/r/{room}/")
    expect(page.locator(".said")).to_have_count(len(SAID))
    anna.say("sold 12 L x2")
    expect(page.locator("[data-answer]")).to_contain_text("Yours: 2 × Wool scarf L")

    # every text runs as its own letters do, whatever the page does
    assert page.evaluate("document.documentElement.dir") == "rtl"
    assert page.evaluate(DIRECTIONS) == SAID
    # an address is read from its scheme on, also within Arabic
    assert set(
        page.locator(".said a").evaluate_all("all => all.map(a => getComputedStyle(a).direction)")
    ) == {"ltr"}
    # the page begins on the right: the name before the text, the button behind the field
    assert middle(page, ".composer input") > middle(page, ".composer form button")
    assert middle(page, ".head .name") > middle(page, ".head button")
    # also what is written in the letters of others: its words run as theirs do, its place is the page's
    assert page.locator(".head h1").evaluate(LEANS) == "right"
    turned = page.locator(".composer form button svg")
    assert turned.evaluate("e => getComputedStyle(e).transform").startswith("matrix(-1")
    assert page.evaluate(BEYOND) == []
    anna.picture("right-to-left")
    assert barriers(page, "room") == []
    page.get_by_role("button", name="Basket", exact=False).first.tap()
    expect(page.get_by_role("button", name="Pay €39.80")).to_be_visible()
    assert page.evaluate(BEYOND) == []
    anna.picture("right-to-left-basket")
    assert barriers(page, "basket") == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_text("1 product in this sale")).to_be_visible()
    assert middle(page, "section.chat") < middle(page, "main.main")
    assert page.evaluate(BEYOND) == []
    anna.picture("right-to-left-wide")
    assert barriers(page, "room, wide") == []

    host.page.add_init_script(TURNED)
    host.open(f"/mod/{room}/")
    assert host.page.evaluate("document.documentElement.dir") == "rtl"
    expect(host.page.get_by_label("Links can be sent by")).to_have_value("staff")
    assert host.page.evaluate(BEYOND) == []
    assert barriers(host.page, "moderation") == []
    for somebody in (anna, host):
        assert somebody.troubles == []
