"""One sale walked through by a host, two buyers and a moderator, in a real browser against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import processes

PHONE = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
DESK = {"viewport": {"width": 1280, "height": 800}}
PICTURES = processes.ROOT / "test-results"


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[processes.LiveProcess, dict[str, Any]]]:
    with processes.live_processes(1, server="daphne") as (server,):
        made = subprocess.run(
            [sys.executable, "-m", "tests.browser.world"],
            cwd=processes.ROOT,
            env=server.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert made.returncode == 0, made.stderr
        yield server, json.loads(made.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        args = [
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        opened = playwright.chromium.launch(executable_path=chromium_path, args=args)
        yield opened
        opened.close()


class Person:
    """Somebody with a device of their own. Whatever goes wrong in their page is kept."""

    def __init__(
        self, browser: Browser, server: processes.LiveProcess, world: dict[str, Any], name: str, **device: Any
    ):
        self.name, self.base, self.password = name, server.base_url, world["password"]
        self.page: Page = browser.new_context(locale="en-GB", **device).new_page()
        self.page.set_default_timeout(15_000)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda m: self.troubles.append(m.text) if m.type == "error" else None)
        self.page.on(
            "response", lambda r: self.troubles.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )

    def sign_in(self, then: str) -> Page:
        self.page.goto(f"{self.base}/account/login?next={then}")
        self.page.fill("input[type=email]", f"{self.name}@walk.test")
        self.page.fill("input[type=password]", self.password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"**{then}")
        return self.page

    def picture(self, what: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=Path(PICTURES) / f"{what}-{self.name}.png")

    def say(self, text: str) -> None:
        box = self.page.get_by_placeholder("Write", exact=False)
        box.fill(text)
        box.press("Enter")


@pytest.mark.browser
@pytest.mark.timeout(240)
def test_a_sale_from_phone_to_phone(
    site: tuple[processes.LiveProcess, dict[str, Any]], browser: Browser
) -> None:
    server, world = site
    room = world["room"]
    host = Person(browser, server, world, "host", **DESK)
    anna = Person(browser, server, world, "anna", **PHONE)
    boris = Person(browser, server, world, "boris", **PHONE)
    moderator = Person(browser, server, world, "moderator", **DESK)

    # the host goes live and shows the scarf
    desk = host.sign_in(f"/host/{room}/")
    desk.get_by_role("button", name="Go live").click()
    desk.get_by_role("button", name="Show now").click()
    expect(desk.get_by_role("button", name="On screen")).to_be_visible()

    # a guest watches; stock is on the card
    boris.page.goto(f"{server.base_url}/r/{room}/")
    expect(boris.page.get_by_text("3 left")).to_be_visible()
    boris.picture("1-guest")

    # a typed claim: private answer to anna, stock falls on the other phone
    phone = anna.sign_in(f"/r/{room}/")
    expect(phone.get_by_text("3 left")).to_be_visible()
    anna.say("sold 12 M x2")
    expect(phone.get_by_text("Yours: 2 × Wool scarf", exact=False)).to_be_visible()
    expect(boris.page.get_by_text("1 left")).to_be_visible()
    expect(boris.page.get_by_text("Yours:", exact=False)).to_have_count(0)
    anna.picture("2-typed-claim")

    # boris signs in and taps for two: one is his, for the other he waits
    other = boris.sign_in(f"/r/{room}/")
    other.get_by_role("button", name="One more").first.click()
    other.locator("[data-claim]").first.click()
    expect(other.get_by_text("Yours: 1 × Wool scarf", exact=False)).to_be_visible()
    expect(other.get_by_text("number 1 in line", exact=False)).to_be_visible()
    boris.picture("3-part-fill")

    # anna gives one back: it is boris' turn at once
    phone.get_by_role("button", name="Basket", exact=False).first.click()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_be_visible()
    anna.picture("4-basket")
    dialog.get_by_role("button", name="One less").click()
    expect(other.get_by_text("Your turn: Wool scarf", exact=False)).to_be_visible()
    boris.picture("5-turn")

    # anna pays what she kept
    name = dialog.get_by_label("Name")
    if name.count() and name.first.is_visible():
        name.first.fill("Anna")
    dialog.get_by_role("button", name="Pay €19.90").click()
    phone.wait_for_url("**/pay/sandbox/**")
    anna.picture("6-pay")
    phone.get_by_role("button", name="Pay €19.90").click()
    phone.wait_for_url(f"**/r/{room}/**")
    expect(phone.get_by_text("Paid. Thank you!")).to_be_visible()
    anna.picture("7-paid")
    expect(desk.get_by_text("€19.90").first).to_be_visible()
    host.picture("8-figures")

    # boris is rude, and out, on the spot; what he held goes back
    boris.say("something rude")
    watch = moderator.sign_in(f"/mod/{room}/")
    rude = watch.get_by_text("something rude")
    expect(rude).to_be_visible()
    rude.click()
    watch.get_by_role("button", name="Ban", exact=False).first.click()
    moderator.picture("9-ban")
    ban = watch.get_by_role("dialog").get_by_role("button", name="Ban", exact=False)
    ban.last.click()
    expect(other.get_by_text("You cannot take part", exact=False).first).to_be_visible()
    boris.picture("10-banned")
    expect(phone.get_by_text("2 left")).to_be_visible()

    assert "no drift" in processes.manage(server.env, "verify")
    for person in (host, anna, boris, moderator):
        assert person.troubles == [], person.name
