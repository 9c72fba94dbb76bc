"""What was tapped and came late, came to nothing, or is over: nothing happens by itself, and the page says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.people import DESK, PHONE, MakeWorld, Person
from tests.browser.test_network import Link

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


class Dead(Link):
    """A phone without any network, not for sockets only."""

    def __init__(self, page: Page) -> None:
        self.page = page
        super().__init__(page)

    def _connect(self, phone: WebSocketRoute) -> None:
        self.phone = phone
        super()._connect(phone)

    def cut(self) -> None:
        self.open = False
        self.page.context.set_offline(True)
        self.phone.close(code=3000)

    def heal(self) -> None:
        super().heal()
        self.page.context.set_offline(False)


def claim(anna: Person, world: dict[str, Any]) -> Page:
    page = anna.sign_in(world, f"/r/{world['room']}/")
    page.locator("[data-claim]").tap()
    expect(page.locator("[data-answer]")).to_contain_text("Yours: 1 × Wool scarf")
    return page


def basket(page: Page) -> Any:
    page.get_by_role("button", name="Basket", exact=False).first.tap()
    return page.get_by_role("dialog")


def test_pieces_added_on_a_dead_link_are_added_once(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("pieces", "live")
    host = person("host", **DESK)
    link = Dead(host.page)
    page = host.sign_in(world, f"/host/{world['room']}/")
    page.get_by_role("button", name="More about Wool scarf").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Change stock by").fill("5")
    link.cut()
    save = dialog.locator("form.edit .main")
    expect(save).to_have_text("Save")
    save.click()
    expect(save).to_be_disabled()
    # the Enter key asks no button
    dialog.locator("form.edit").evaluate("form => form.requestSubmit()")
    link.heal()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("8 free")).to_be_visible()
    assert len([frame for frame in link.sent if frame.get("name") == "stock.adjust"]) == 1
    assert host.troubles == []


def test_a_payment_on_a_dead_link_comes_to_nothing_and_can_be_tried_again(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("deadlink", "live")
    anna = person("anna", **PHONE)
    link = Dead(anna.page)
    page = claim(anna, world)
    dialog = basket(page)
    pay = dialog.locator("[data-pay]")
    expect(pay).to_have_text("Pay €19.90")
    link.cut()
    pay.tap()
    expect(pay).to_be_disabled()
    expect(dialog.get_by_role("alert")).to_have_text("That did not go through in time. Please try again.")
    expect(pay).to_be_enabled()
    anna.picture("late-pay")
    link.heal()
    pay.tap()
    page.wait_for_url("**/pay/sandbox/**")
    paid = [frame for frame in link.sent if frame.get("name") == "order.pay"]
    assert len(paid) == 1


@pytest.mark.parametrize(("button", "told"), [
    ("Let the payment fail", "The payment did not go through."),
    ("Cancel", "The payment did not go through."),
    ("Pay €19.90", "Paid. Thank you!"),
])  # fmt: skip
def test_what_became_of_a_payment_is_said_once(
    make_world: MakeWorld, person: Callable[..., Person], button: str, told: str
) -> None:
    world = make_world("back" + button[:3].lower().strip(), "live")
    anna, boris = person("anna", **PHONE), person("boris", **PHONE)
    page = claim(anna, world)
    other = boris.sign_in(world, f"/r/{world['room']}/")
    basket(page).locator("[data-pay]").tap()
    page.wait_for_url("**/pay/sandbox/**")
    page.get_by_role("button", name=button).tap()
    page.wait_for_url(f"**/r/{world['room']}/")
    said = page.locator(".toast").get_by_text(told)
    expect(said).to_be_visible()
    expect(page.get_by_text("Waiting for the payment", exact=False)).to_have_count(0)
    if button.startswith("Pay"):
        expect(page.get_by_role("dialog")).to_be_hidden()
    else:
        expect(page.get_by_role("dialog").locator("[data-pay]")).to_be_enabled()
        anna.picture(f"back-{button[:3].lower()}")
    # whatever else happens in the room, it goes away and does not come again
    expect(other.get_by_text("2 left")).to_be_visible()
    boris.say("Hello Anna")
    expect(page.get_by_text("Hello Anna").first).to_be_attached()
    expect(said).to_have_count(0)
    boris.say("Still there?")
    expect(page.get_by_text("Still there?").first).to_be_attached()
    expect(said).to_have_count(0)
    assert anna.troubles == []


def test_an_answer_tells_what_has_become_of_it(make_world: MakeWorld, person: Callable[..., Person]) -> None:
    world = make_world("became", "live")
    anna = person("anna", **PHONE)
    page = anna.sign_in(world, f"/r/{world['room']}/")
    anna.say("12 x2")
    answer = page.locator("[data-answer]")
    expect(answer).to_contain_text("Yours: 2 × Wool scarf")
    expect(answer).to_contain_text("Kept for you for")
    dialog = basket(page)
    dialog.get_by_role("button", name="One less").tap()
    expect(answer).to_contain_text("Yours: 1 × Wool scarf")
    expect(answer).to_contain_text("Kept for you for")
    dialog.get_by_role("button", name="Remove").tap()
    expect(answer).to_contain_text("Cancelled")
    expect(answer).not_to_contain_text("Kept for you")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(answer.get_by_role("button", name="Pay")).to_have_count(0)
    expect(answer.get_by_role("button", name="Close")).to_be_visible()
    anna.picture("answer-became")
    assert anna.troubles == []
