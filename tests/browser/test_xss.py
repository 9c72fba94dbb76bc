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


# What somebody writes, and the links that become of it: (shown, leads to).
WRITTEN: dict[str, list[tuple[str, str]]] = {
    "1 see https://shop.example/a?b=1&c=%22, nice": [
        ("https://shop.example/a?b=1&c=%22", "https://shop.example/a?b=1&c=%22")
    ],
    "2 http://169.254.169.254/latest/meta-data": [("http://169.254.169.254/latest/meta-data",) * 2],
    "3 https://аррӏе.com/pay": [("https://xn--80ak6aa92e.com/pay",) * 2],
    '4 https://shop.example/"onmouseover="pwned()': [("https://shop.example/", "https://shop.example/")],
    "5 https://bank.example@evil.example/": [],
    "6 javascript:pwned()": [],
    "7 JaVaScRiPt://shop.example/%0apwned()": [],
    "8 data:text/html,<script>pwned()</script>": [],
    "9 vbscript:pwned() file:///etc/passwd ftp://shop.example blob:null/1": [],
    "10 shop.example www.shop.example //shop.example/x": [],
    '11 <a href="https://shop.example/b">here</a>': [("https://shop.example/b", "https://shop.example/b")],
}
LINKS = """all => all.map(a => ({shown: a.textContent, href: a.href, rel: a.rel, target: a.target}))"""


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_only_addresses_of_the_web_become_links_and_only_whose_the_room_says(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("links", "live")
    room = world["room"]
    host = Watched(person("host", **DESK))
    host.person.sign_in(world, f"/r/{room}/")
    moderator = Watched(person("moderator", **DESK))
    rules = moderator.person.sign_in(world, f"/mod/{room}/")
    anna = Watched(person("anna", **DESK))
    page = anna.person.sign_in(world, f"/r/{room}/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    for text in WRITTEN:
        host.person.say(text)
        expect(host.page.locator(".said")).to_have_count(list(WRITTEN).index(text) + 1)
    expect(page.locator(".said")).to_have_count(len(WRITTEN))
    links = page.locator(".said a").evaluate_all(LINKS)
    assert [(link["shown"], link["href"]) for link in links] == [
        pair for pairs in WRITTEN.values() for pair in pairs
    ]
    assert {(link["rel"], link["target"]) for link in links} == {("noopener nofollow ugc", "_blank")}
    # apart from how a foreign host is spelt, every text is there letter by letter
    shown = page.locator(".said .text").all_inner_texts()
    assert [text.replace("xn--80ak6aa92e", "аррӏе") for text in shown] == list(WRITTEN)
    # nobody's browser asks for what somebody has written
    assert [url for url in asked if not url.startswith((anna.person.base, "data:", "blob:"))] == []

    # in a sale strangers send none, until the room says otherwise
    anna.person.say("mine is at https://anna.example")
    expect(page.get_by_role("alert")).to_contain_text("Only the hosts can send links here.")
    rules.get_by_label("Links can be sent by").select_option("everybody")
    expect(rules.get_by_label("Links can be sent by")).to_have_value("everybody")
    page.get_by_role("alert").get_by_role("button").click()
    anna.person.say("mine is at https://anna.example")
    expect(page.get_by_role("link", name="https://anna.example")).to_be_visible()
    rules.get_by_label("Links can be sent by").select_option("staff")
    expect(page.get_by_role("link", name="https://anna.example")).to_have_count(0)
    expect(page.get_by_text("mine is at https://anna.example")).to_be_visible()
    expect(page.get_by_role("link", name="https://shop.example/b")).to_be_visible()
    rules.get_by_label("Links can be sent by").select_option("off")
    expect(page.locator(".said a")).to_have_count(0)

    for somebody in (host, moderator, anna):
        somebody.is_clean()
        somebody.policy_is_strict()
    assert [trouble for somebody in (host, moderator) for trouble in somebody.person.troubles] == []
