"""Whatever people write stays text: names, titles, messages, reasons, on every page that shows them.

Chromium, the pages as they are built, a shop in which everything that anybody can write is markup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.markup import MARKUP, markup
from tests.browser.people import DESK, MakeWorld, Person

# Before anything of a page runs: what markup would call, and what the browser's policy had to stop.
WATCH = """
window.harm = []
window.pwned = () => window.harm.push('ran')
window.alert = window.pwned
document.addEventListener('securitypolicyviolation', e =>
  window.harm.push(`stopped by the policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`))
"""
# Markup that nobody of ours has written: our own pages have no element of these kinds.
FOREIGN = """
x-mark, iframe[srcdoc], img[src="x"], math, a[href^="javascript:" i], a[href^="data:" i], object, embed, base,
[onerror], [onload], [onmouseover], [onclick], [onfocus], script:not([src]):not([type="application/json"])
"""


class Watched:
    """Somebody whose pages are looked at for markup that is not ours."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.page: Page = person.page
        self.policies: dict[str, str] = {}
        self.page.context.add_init_script(WATCH)
        self.page.on("response", self._answered)
        self.page.on("dialog", lambda dialog: dialog.dismiss())

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.status < 300:
            self.policies[response.url] = response.headers.get("content-security-policy", "")

    def shows(self, *texts: str) -> None:
        """These texts are there, letter by letter, and nothing of them is anything but text."""
        for text in texts:
            expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()
        self.is_clean()

    def is_clean(self) -> None:
        where = self.page.url
        assert self.page.evaluate("window.harm") == [], where
        found = self.page.evaluate("s => [...document.querySelectorAll(s)].map(e => e.outerHTML)", FOREIGN)
        assert found == [], where

    def policy_is_strict(self) -> None:
        assert self.policies
        for url, policy in self.policies.items():
            rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
            assert rules["default-src"] == ["'self'"], url
            assert rules["object-src"] == ["'none'"], url
            assert rules["base-uri"] == ["'self'"], url
            assert "unsafe" not in policy, url
            for name in ("script-src", "style-src", "script-src-attr", "script-src-elem"):
                assert name not in rules, url


@pytest.mark.browser
@pytest.mark.timeout(240)
def test_what_people_write_stays_text(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("markup", "live", "markup")
    room, slug = world["room"], world["slug"]

    # a guest: pages whose head and start-up facts are written by the server
    guest = Watched(person("guest", **DESK))
    guest.person.open(f"/r/{room}/")
    guest.shows(*(f"{n} {text}" for n, text in enumerate(MARKUP) if n > 10))
    assert guest.page.title().find(markup(1)[:20]) >= 0
    guest.person.open(f"/s/{slug}/")
    guest.shows(markup(1))
    for path in ("/", f"/i/{world['code']}/"):
        guest.person.open(path)
        guest.page.wait_for_load_state("networkidle")
        guest.is_clean()

    # somebody who may not write for a while, and is told why
    boris = Watched(person("boris", **DESK))
    boris.person.sign_in(world, f"/r/{room}/")
    boris.shows(f"15 {markup(15)}")

    # a buyer: what is answered, what is in the basket, what is paid
    anna = Watched(person("anna", **DESK))
    page = anna.person.sign_in(world, f"/r/{room}/")
    anna.person.say("sold 12 x1")
    expect(page.locator("[data-answer]").first).to_be_visible()
    anna.person.say(f"99 {markup(0)}")
    anna.shows(f"99 {markup(0)}")
    page.get_by_role("button", name="Basket", exact=False).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(markup(0))
    anna.is_clean()
    dialog.get_by_role("button", name="Pay €19.90").click()
    page.wait_for_url("**/pay/sandbox/**")
    anna.is_clean()
    page.get_by_role("button", name="Pay €19.90").click()
    page.wait_for_url(f"**/r/{room}/**")
    for path in ("/account/", "/", f"/s/{slug}/"):
        anna.person.open(path)
        page.wait_for_load_state("networkidle")
        anna.is_clean()

    # those who work there
    host = Watched(person("host", **DESK))
    desk = host.person.sign_in(world, f"/host/{room}/")
    host.shows(markup(1))
    host.person.open("/host/")
    host.shows(markup(1))
    moderator = Watched(person("moderator", **DESK))
    watch = moderator.person.sign_in(world, f"/mod/{room}/")
    moderator.shows(f"5 {markup(5)}")
    watch.get_by_text(f"0 {markup(0)}").first.click()
    expect(watch.get_by_role("dialog")).to_be_visible()
    moderator.is_clean()
    desk.wait_for_load_state("networkidle")

    for somebody in (guest, boris, anna, host, moderator):
        somebody.is_clean()
        somebody.policy_is_strict()
        assert somebody.person.troubles == []


@pytest.mark.browser
def test_the_watch_sees_what_it_must(person: Callable[..., Person]) -> None:
    """The control: on a page without a policy, markup that is taken for markup runs, and is found."""
    somebody = Watched(person("somebody", **DESK))
    answer: dict[str, Any] = {"content_type": "text/html", "body": f"<body>{markup(0)}</body>"}
    somebody.page.route("**/bare", lambda route: route.fulfill(**answer))
    somebody.page.goto(f"{somebody.person.base}/bare")
    somebody.page.wait_for_function("() => window.harm.length > 0")
    with pytest.raises(AssertionError):
        somebody.is_clean()
    with pytest.raises((AssertionError, KeyError, ValueError)):
        somebody.policy_is_strict()
