"""What moderators do, as clients see it that were away, and as one person feels it who has many sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from chat.realtime import limits
from chat.rooms.book import RATE_LIMIT
from tests.wire.client import Frame, Wire
from tests.wire.conftest import House


async def test_who_was_away_hears_that_a_text_is_gone_and_never_the_text(
    house: House, room: str, owner: str, guest: str
):
    async with house.enter(guest) as writer, house.enter(owner) as host:
        async with house.wire() as reader:
            await reader.hello()
            joined = await reader.join(room)
            reader.abort()
        message = await writer.say(room, "a regrettable word")
        assert (await host.ask_for(room, "message.delete", {"message": message}))["type"] == "ack"

        async with house.wire(house.second) as again:
            await again.hello()
            back = await again.join(room, after=joined["seq"], epoch=joined["epoch"])
            assert back["mode"] == "replay"
            await again.event("message.deleted", message=message)
            assert "regrettable" not in json.dumps(again.frames)

        async with house.wire(house.second) as late:
            await late.hello()
            await late.join(room)
            assert "regrettable" not in json.dumps(late.frames)


async def test_frames_count_a_person_not_their_sockets(house: House, guest: str, owner: str):
    async with AsyncExitStack() as stack:
        many = [await stack.enter_async_context(house.enter(guest)) for _ in range(4)]
        alone = await stack.enter_async_context(house.enter(owner))
        began = time.monotonic()
        for n in range(limits.BURST):
            for wire in many:
                await wire.send("ping", at=n)
        for wire in many:
            # who goes on nevertheless is sent away, and the errors that wait to leave then are dropped
            await wire.wait(lambda f: f["type"] in {"error", "bye"}, "a refusal")
        heard = sum(frame["type"] == "pong" for wire in many for frame in wire.frames)
        assert heard <= limits.BURST + limits.RATE * (time.monotonic() - began)
        # somebody else is not slowed down by it
        await alone.send("ping", at=1)
        await alone.expect("pong", at=1)


async def test_frames_count_a_person_not_their_processes(house: House, guest: str):
    """Less than the rate on each of two processes, and more on both together: what one lets in the other hears of."""
    async with house.enter(guest) as one, house.enter(guest, house.second) as two:

        def refused() -> list[Frame]:
            return [f for wire in (one, two) for f in wire.frames if f["type"] == "error"]

        async def pinging(wire: Wire) -> None:
            # by the clock: with pauses only, a slow machine would stay below the rate for ever. More than a second is
            # not made up for, because so many at once are too many for one process alone
            due = time.monotonic()
            while not refused():
                await wire.send("ping", at=0)
                due = max(due + 1 / (0.9 * limits.RATE), time.monotonic() - 1)
                await asyncio.sleep(max(0, due - time.monotonic()))

        async with asyncio.timeout(60):
            await asyncio.gather(pinging(one), pinging(two))
        assert {f["code"] for f in refused()} == {"rate.limited"}


async def test_slow_mode_counts_a_person_not_their_sockets(house: House, room: str, owner: str, guest: str):
    async with (
        house.enter(owner) as host,
        house.enter(guest) as one,
        house.enter(guest, house.second) as two,
        house.enter(guest, house.second) as three,
    ):
        slow = await host.ask_for(room, "room.configure", {"slow_seconds": 60})
        assert slow["type"] == "ack"
        answers = [
            await wire.ask_for(room, "message.send", {"text": f"{n}"})
            for n, wire in enumerate((one, two, three))
        ]
        assert [a["type"] for a in answers] == ["ack", "error", "error"]
        assert {a["code"] for a in answers[1:]} == {"message.slow"}
        assert len(house.backstage.texts(stream=room)) == 1


async def test_floods_repeats_and_links_count_a_person_not_their_sockets(
    house: House, room: str, owner: str, guest: str
):
    async with (
        AsyncExitStack() as stack,
        house.enter(owner) as host,
    ):
        tabs = [
            await stack.enter_async_context(house.enter(guest, process))
            for process in (house.first, house.second, house.first, house.second, house.second)
        ]

        async def from_every_tab(say: Callable[[int], str], times: int = 1) -> list[str]:
            sent = [
                (wire, await wire.do(room, "message.send", {"text": say(n)}))
                for n, wire in enumerate(tabs * times)
            ]
            told = [
                await wire.wait(lambda f, id=id: f.get("id") == id, "an answer")  # type: ignore[misc]
                for wire, id in sent
            ]
            return sorted(answer.get("code", "") for answer in told)

        rules = {"repeat_seconds": 600, "links": "staff"}
        assert (await host.ask_for(room, "room.configure", rules))["type"] == "ack"
        assert await from_every_tab(lambda n: "Cheap followers" + "!" * n) == ["", *["message.repeated"] * 4]
        assert await from_every_tab(lambda n: f"https://{n}.example") == ["message.links_staff"] * 5
        # one text has been said: eleven are left of a window's twelve, whichever way they come
        flood = await from_every_tab(lambda n: f"{n} {'abcdefghijklmnopqrstuvwxyz'[n % 26]}", times=4)
        assert flood == [*[""] * (RATE_LIMIT - 1), *["message.too_fast"] * (20 - RATE_LIMIT + 1)]
        assert len(house.backstage.texts(stream=room)) == RATE_LIMIT
