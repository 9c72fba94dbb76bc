"""One process with a wrong clock beside one with the right one: nothing is lost, reordered, opened or extended."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.faults.site import Seat, Site, open_site
from tests.proofs.stage import Stage
from tests.services import PostgresService, RedisService
from tests.wire.client import Wire

HOLD = 3
SKEWS = {"+1d": 86_400, "-61s": -61}
# Longer than anything takes here: a drop that begins so much later has not begun.
COUNTDOWN = 60


@pytest.fixture(scope="module")
def site(durable_postgres_server: PostgresService, redis_server: RedisService) -> Iterator[Site]:
    with open_site(
        ("uvicorn", "uvicorn"), postgres=durable_postgres_server, redis=redis_server, database="clock"
    ) as opened:
        yield opened


def clock_of(seat: Seat) -> float:
    """What a process's machine takes for the time: its server says it in every answer."""
    with urllib.request.urlopen(f"{seat.process.base_url}/livez", timeout=30) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()


async def enter(seat: Seat, **auth: str) -> Wire:
    wire = Wire(f"{seat.process.ws_url}/ws/")
    await wire.__aenter__()
    await wire.hello()
    await wire.send("auth", **auth)
    return wire


def said(wire: Wire) -> dict[str, Any]:
    return [f for f in wire.frames if f["type"] == "hello"][-1]


def between(since: float, moment: float, give: float) -> bool:
    """Whether that moment lies between then and now, by the right clock, give or take some seconds."""
    return since - give <= moment <= time.time() + give


@pytest.mark.parametrize("by", SKEWS)
async def test_a_process_with_a_wrong_clock(site: Site, by: str) -> None:
    right, wrong = site.seats
    wrong.skew(by)
    await asyncio.to_thread(wrong.process.restart)
    # the server renews its Date every second or two, or later on a busy machine
    since = time.time()
    assert between(since, clock_of(wrong) - SKEWS[by], give=10), "its clock is not wrong"
    with Stage(site.env, "tests.faults.books") as books:
        market = books.open_market(name=f"By {by}", rooms=1, people=3, stock=100, hold_for=HOLD)
        room, offer = market["rooms"][0], market["offers"][0]
        tickets = books.tickets(people=[market["owner"], *market["people"]])
        host, anna = await enter(wrong, ticket=tickets[0]), await enter(right, ticket=tickets[1])
        reader = await enter(wrong, ticket=tickets[2])
        wires = [host, anna, reader]
        try:
            for wire in wires:
                await wire.hello()
                await wire.join(room)
                # countdowns go by what the server says the time is
                since = time.time()
                await wire.send("ping")
                assert between(since, (await wire.expect("pong"))["time"] / 1000, give=1)
            await signs_in_across(right, wrong, [anna, reader])
            await in_order(room, [host, anna], wires)
            await holds_as_long(books, room, offer, host)
            await opens_when_it_is_time(room, offer, host, anna)
        finally:
            for wire in wires:
                await wire.close()
        await asyncio.to_thread(books.quiet, seconds=15)
        assert books.drifts() == []
        assert books.holds() == []
        assert books.sequences() == []


async def signs_in_across(right: Seat, wrong: Seat, wires: list[Wire]) -> None:
    """What one process gave to come back with is good at the other."""
    for seat, wire in zip((wrong, right), wires, strict=True):
        again = await enter(seat, resume=said(wire)["resume"])
        assert (await again.hello())["you"]["id"] == said(wire)["you"]["id"]
        await again.close()


async def in_order(room: str, writers: list[Wire], readers: list[Wire]) -> None:
    texts = [f"word {n}" for n in range(10)]
    for n, text in enumerate(texts):
        since = time.time()
        await writers[n % 2].say(room, text)
    for reader in readers:
        await reader.event("message.sent", text=texts[-1])
        events = reader.events(room)
        assert [e["body"]["text"] for e in events if e["kind"] == "message.sent"] == texts
        assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
        moments = [e["at"] for e in events]
        assert moments == sorted(moments)
        assert between(since, moments[-1] / 1000, give=2)


async def holds_as_long(books: Stage, room: str, offer: str, wire: Wire) -> None:
    """A hold that the wrong process gave ends when it should, whichever process ends it."""
    before = time.time()
    answer = (await wire.ask_for(room, "claim.place", {"offer": offer, "qty": 1}))["answer"]
    until = answer["hold_until"] / 1000
    assert between(before, until - HOLD, give=1.5)
    state = await asyncio.to_thread(books.state_of_line, line=answer["line"])
    # on a busy machine its time may be over when the answer comes
    if time.time() < until:
        assert state == "held"
    async with asyncio.timeout(30):
        while (  # noqa: ASYNC110 - another process ends it
            await asyncio.to_thread(books.state_of_line, line=answer["line"])
        ) == "held":
            await asyncio.sleep(0.05)
    assert time.time() >= before + HOLD - 0.5, "it ended early"


async def opens_when_it_is_time(room: str, offer: str, host: Wire, buyer: Wire) -> None:
    """A drop in a minute and for ten seconds: neither open nor over yet at either process."""
    drop = {"offer": offer, "allotment": 5, "duration_seconds": 10, "countdown_seconds": COUNTDOWN}
    opened = await host.ask_for(room, "drop.open", drop)
    assert opened["type"] == "ack", opened
    for wire in (host, buyer):
        early = await wire.ask_for(room, "claim.place", {"offer": offer, "qty": 1})
        assert early.get("code") == "claim.not_yet", early
    assert (await host.ask_for(room, "drop.close", {"offer": offer}))["type"] == "ack"
