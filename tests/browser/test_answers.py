"""Answers are seen and heard where somebody is busy, and nothing that was typed is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.people import PHONE, MakeWorld, Person
from tests.browser.test_network import command

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


class Slow:
    """A link on which what is said in the room is answered when the test says so."""

    def __init__(self, page: Page) -> None:
        self.said: list[dict[str, Any]] = []
        page.route_web_socket(re.compile("/ws/"), self._connect)

    def _connect(self, phone: WebSocketRoute) -> None:
        self._phone, server = phone, phone.connect_to_server()

        def up(text: str | bytes) -> None:
            frame = json.loads(text)
            if frame["type"] == "do" and frame["name"] == "say":
                self.said.append(frame)
            else:
                server.send(text)

        phone.on_message(up)

    def refuse(self, text: str) -> None:
        (frame,) = [frame for frame in self.said if frame["body"]["text"] == text]
        self.said.remove(frame)
        answer = {"code": "message.slow", "message": "Not so fast.", "temporary": True, "retry_after": 4}
        self._phone.send(json.dumps({"type": "error", "id": frame["id"], **answer}))


def test_words_that_come_back_while_others_are_typed_are_kept_beside_them(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("words", "live")
    anna = person("anna", **PHONE)
    link = Slow(anna.page)
    page = anna.sign_in(world, f"/r/{world['room']}/")
    box = page.get_by_label("Write a message")
    for words in ("first words", "second words"):
        box.fill(words)
        box.press("Enter")
        expect(box).to_have_value("")
    box.fill("third")
    while len(link.said) < 2:
        page.wait_for_timeout(20)
    link.refuse("first words")
    link.refuse("second words")
    unsent = page.locator(".composer .reply")
    expect(unsent).to_have_text(["Not sent: “first words”", "Not sent: “second words”"])
    expect(box).to_have_value("third")
    anna.picture("answers-unsent")
    again = unsent.first.get_by_role("button", name="Send")
    expect(again).to_be_disabled()
    expect(again).to_be_enabled(timeout=10_000)
    again.tap()
    expect(unsent).to_have_text(["Not sent: “second words”"])
    while not link.said:
        page.wait_for_timeout(20)
    assert [frame["body"]["text"] for frame in link.said] == ["first words"]
    unsent.get_by_role("button", name="No, leave it").tap()
    expect(unsent).to_have_count(0)


def test_who_buys_in_the_list_sees_and_hears_the_answer_there(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("listed", "live")
    anna, host = person("anna", **PHONE), person("host", **PHONE)
    # what is shown big is not in the list of a room that sells one thing
    desk = host.sign_in(world, f"/r/{world['room']}/")
    assert command(desk, world["room"], "offer.feature", offer=None)[0] == 200
    page = anna.sign_in(world, f"/r/{world['room']}/")
    page.locator("button.all").tap()
    dialog = page.get_by_role("dialog")
    dialog.locator("button.offer").first.tap()
    dialog.locator("[data-claim]").first.tap()
    expect(dialog.locator("[data-answer]")).to_contain_text("Yours: 1 ×")
    # all that is outside of an open dialog is hidden from who does not see it
    expect(dialog.locator("[data-said=urgent]")).to_contain_text("Yours: 1 ×")
    anna.picture("answers-in-the-list")


def test_one_less_is_tapped_twice_and_is_one_less(
    make_world: MakeWorld, person: Callable[..., Person]
) -> None:
    world = make_world("less", "live")
    anna = person("anna", **PHONE)
    page = anna.sign_in(world, f"/r/{world['room']}/")
    anna.say("12 x3")
    expect(page.locator("[data-answer]")).to_contain_text("Yours: 3 × Wool scarf")
    page.get_by_role("button", name="Basket", exact=False).first.tap()
    less = page.get_by_role("dialog").get_by_role("button", name="One less")
    less.evaluate("button => { button.click(); button.click() }")
    expect(page.get_by_role("dialog").get_by_text("2 × Wool scarf")).to_be_visible()
    page.wait_for_timeout(500)
    expect(page.get_by_role("dialog").get_by_text("2 × Wool scarf")).to_be_visible()
