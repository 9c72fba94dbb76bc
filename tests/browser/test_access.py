"""Every page with the rules of axe, in light and in dark: nothing serious, nothing critical."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.people import DESK, PHONE, MakeWorld, Person

SCHEMES = ("light", "dark")

# All styles anew: colours that are inherited sometimes stay those of the other scheme until the next change.
REDRAWN = """() => new Promise(done => {
  const root = document.documentElement
  root.style.display = 'none'
  void root.offsetHeight
  root.style.display = ''
  requestAnimationFrame(() => requestAnimationFrame(done))
})"""


def barriers(page: Page, where: str) -> list[str]:
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.evaluate(REDRAWN)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                nodes = [f"{node['target']} {node['failureSummary']}" for node in violation["nodes"]]
                found.append(f"{where} ({scheme}): {violation['id']}: {nodes}")
    return found


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_no_page_keeps_anybody_out(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("everybody", "live", "picture", "poster", "sizes")
    room = world["room"]
    found: list[str] = []

    # a buyer's pages, on a phone and as large as a desk
    anna = person("anna", **PHONE)
    page = anna.open("/account/signup")
    expect(page.get_by_label("E-mail")).to_be_visible()
    found += barriers(page, "sign up")
    anna.sign_in(world, f"/r/{room}/")
    anna.say("Good evening!")
    anna.say("sold 12 L x2")
    expect(page.locator("[data-answer]")).to_contain_text("Yours: 2 × Wool scarf L")
    found += barriers(page, "room")
    page.get_by_role("button", name="Basket", exact=False).first.tap()
    expect(page.get_by_role("button", name="Pay €39.80")).to_be_visible()
    found += barriers(page, "basket")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 product in this sale")).to_be_visible()
    expect(page.locator(".offers")).to_be_visible()
    found += barriers(page, "room, wide")
    anna.open("/account/")
    expect(page.get_by_role("textbox", name="Name")).to_be_visible()
    found += barriers(page, "account")
    anna.open("/")
    expect(page.get_by_text("Kept for me")).to_be_visible()
    found += barriers(page, "home")
    anna.open(f"/s/{world['slug']}/")
    expect(page.get_by_role("button", name="Buy · €19.90")).to_be_visible()
    found += barriers(page, "storefront")

    # those who work there
    host = person("host", **DESK)
    desk = host.sign_in(world, f"/host/{room}/")
    expect(desk.get_by_text("Anna").first).to_be_visible()
    found += barriers(desk, "console")
    desk.get_by_role("button", name="More about Wool scarf").first.click()
    expect(desk.get_by_role("button", name="Start the drop")).to_be_visible()
    found += barriers(desk, "an offer")
    host.open("/host/")
    expect(desk.get_by_role("button", name="New live sale")).to_be_visible()
    found += barriers(desk, "shops")
    moderator = person("moderator", **DESK)
    watch = moderator.sign_in(world, f"/mod/{room}/")
    watch.get_by_text("Good evening!").click()
    expect(watch.get_by_role("dialog")).to_be_visible()
    found += barriers(watch, "what a moderator can do")
    watch.keyboard.press("Escape")
    found += barriers(watch, "moderation")

    assert found == []
