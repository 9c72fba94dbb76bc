"""What a first look costs on a poor phone with a poor link, and how far it is from there to having paid."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.people import PHONE, MakeWorld, Person

MOST_BYTES = 150_000
MOST_TAPS = 3

KBIT = 1000 / 8


class Meter:
    """Counts what comes over the network: heads and bodies of answers, and frames of sockets."""

    def __init__(self, network: CDPSession) -> None:
        self.bytes: Counter[str] = Counter()
        self._urls: dict[str, str] = {}
        network.on("Network.requestWillBeSent", self._asked)
        network.on("Network.loadingFinished", self._came)
        network.on("Network.webSocketFrameReceived", self._frame)

    def _asked(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"].split("?")[0].split("/", 3)[-1]

    def _came(self, event: dict[str, Any]) -> None:
        self.bytes[self._urls.get(event["requestId"], "?")] += int(event["encodedDataLength"])

    def _frame(self, event: dict[str, Any]) -> None:
        self.bytes["ws/"] += len(event["response"]["payloadData"].encode())

    @property
    def total(self) -> int:
        return sum(self.bytes.values())


def slow(page: Page) -> Meter:
    """A phone a quarter as fast as this machine, on 400 kbit/s with 400 ms there and back."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 400,
            "downloadThroughput": 400 * KBIT,
            "uploadThroughput": 400 * KBIT,
        },
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    return Meter(session)


LOADED = "() => [...document.images].every(i => i.complete && i.naturalWidth > 0)"


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_a_first_look_is_light(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("first-view", "live", "picture", "poster")
    guest = person("guest", **PHONE)
    guest.page.set_default_timeout(60_000)
    meter = slow(guest.page)

    began = time.monotonic()
    guest.page.goto(f"{guest.base}/r/{world['room']}/", wait_until="commit")
    card = guest.page.get_by_role("region", name="Now: Wool scarf")
    expect(card.get_by_text("3 left")).to_be_visible(timeout=60_000)
    usable = time.monotonic() - began
    expect(guest.page.locator("img")).to_have_count(2)
    guest.page.wait_for_function(LOADED)
    complete = time.monotonic() - began
    at_sight = meter.total
    # what the page fetches once it has come to rest, for later taps, counts too
    guest.page.wait_for_load_state("networkidle")
    guest.page.wait_for_timeout(3_000)
    guest.page.wait_for_load_state("networkidle")
    guest.picture("first-view")

    print(f"\nfirst look: usable after {usable:.1f} s, complete after {complete:.1f} s", end="")
    print(f", {at_sight / 1000:.1f} kB then, {meter.total / 1000:.1f} kB in the end")
    for what, size in meter.bytes.most_common():
        print(f"{size:8} {what}")
    assert meter.total <= MOST_BYTES, meter.bytes.most_common()
    assert meter.bytes["ws/"] > 0
    assert guest.troubles == []


@pytest.mark.browser
def test_three_taps_from_seeing_to_having_paid(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("three-taps", "live", "picture")  # a new shop has one way to get the goods: pick-up
    anna = person("anna", **PHONE)
    page = anna.sign_in(world, f"/r/{world['room']}/")
    taps: list[str] = []

    def tap(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).tap()
        taps.append(name)

    tap("Buy · €19.90")
    expect(page.locator("[data-answer]")).to_contain_text("Yours: 1 × Wool scarf")
    tap("Pay")
    page.wait_for_url("**/pay/sandbox/**")
    tap("Pay €19.90")
    page.wait_for_url(f"**/r/{world['room']}/**")
    expect(page.get_by_text("Paid. Thank you!")).to_be_visible()

    print(f"\nfrom signed in to paid: {len(taps)} taps: {', '.join(taps)}")
    assert len(taps) <= MOST_TAPS
    assert anna.troubles == []
