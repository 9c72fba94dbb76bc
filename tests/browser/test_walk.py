"""One sale walked through by a host, two buyers and a moderator, in a real browser against a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests import processes
from tests.browser.people import DESK, PHONE, MakeWorld, Person


@pytest.mark.browser
@pytest.mark.timeout(240)
def test_a_sale_from_phone_to_phone(
    server: processes.LiveProcess, make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("walk")
    room = world["room"]
    host = person("host", **DESK)
    anna = person("anna", **PHONE)
    boris = person("boris", **PHONE)
    moderator = person("moderator", **DESK)

    # the host goes live, which shows the scarf
    desk = host.sign_in(world, f"/host/{room}/")
    desk.get_by_role("button", name="Go live").click()
    expect(desk.get_by_role("button", name="On screen")).to_be_visible()

    # a guest watches; stock is on the card
    boris.open(f"/r/{room}/")
    expect(boris.page.get_by_text("3 left")).to_be_visible()
    boris.picture("1-guest")

    # a typed claim: private answer to anna, stock falls on the other phone
    phone = anna.sign_in(world, f"/r/{room}/")
    expect(phone.get_by_text("3 left")).to_be_visible()
    anna.say("sold 12 M x2")
    expect(phone.locator("[data-answer]")).to_contain_text("Yours: 2 × Wool scarf")
    expect(boris.page.get_by_text("1 left")).to_be_visible()
    expect(boris.page.locator("[data-answer]")).to_have_count(0)
    anna.picture("2-typed-claim")

    # boris signs in and taps for two: one is his, for the other he waits
    other = boris.sign_in(world, f"/r/{room}/")
    other.get_by_role("button", name="One more").first.click()
    other.locator("[data-claim]").first.click()
    expect(other.locator("[data-answer]")).to_contain_text("Yours: 1 × Wool scarf")
    expect(other.locator("[data-answer]")).to_contain_text("number 1 in line")
    boris.picture("3-part-fill")

    # anna gives one back: it is boris' turn at once
    phone.get_by_role("button", name="Basket", exact=False).first.click()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_be_visible()
    anna.picture("4-basket")
    dialog.get_by_role("button", name="One less").click()
    expect(other.locator("[data-answer]", has_text="Your turn: Wool scarf")).to_be_visible()
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
    watch = moderator.sign_in(world, f"/mod/{room}/")
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
    for somebody in (host, anna, boris, moderator):
        assert somebody.troubles == [], somebody.name


@pytest.mark.browser
def test_the_host_orders_for_somebody_who_asks_in_the_chat(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("neighbour", "live")
    anna, host = person("anna", **PHONE), person("host", **DESK)
    phone = anna.sign_in(world, f"/r/{world['room']}/")
    expect(phone.get_by_text("3 left")).to_be_visible()
    anna.say("Two for me, please, I am driving")
    desk = host.sign_in(world, f"/host/{world['room']}/")
    desk.get_by_role("log").get_by_text("Two for me").click()
    desk.get_by_role("button", name="Order for Anna").click()
    dialog = desk.get_by_role("dialog")
    dialog.get_by_role("button", name="One more").click()
    host.picture("neighbour")
    dialog.get_by_role("button", name="Order for Anna · €39.80").click()
    expect(desk.get_by_text("Anna: Yours: 2 × Wool scarf M")).to_be_visible()
    expect(phone.locator("[data-answer]")).to_contain_text("Yours: 2 × Wool scarf M")
    expect(phone.get_by_text("1 left")).to_be_visible()
    assert (anna.troubles, host.troubles) == ([], [])
