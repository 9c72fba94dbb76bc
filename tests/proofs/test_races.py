"""Every race has one outcome, written down in `tests/proofs/races.py` and shown in `docs/concurrency.md`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chat.log import clock
from tests import services
from tests.processes import ROOT, LiveProcess
from tests.proofs.buyers import Book, Buyer, Pace
from tests.proofs.market import drifts
from tests.proofs.races import RACES, Race, Scene, table
from tests.proofs.stage import Stage


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[tuple[str, str, str]]]:
    seen: list[tuple[str, str, str]] = []
    yield seen
    print("\n" + table(seen))


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_a_race_has_one_outcome(race: Race, outcomes: list[tuple[str, str, str]]) -> None:
    with clock.frozen() as frozen:
        scene = Scene(frozen, waits=race.waits)
        race.run(scene)
        said = ", ".join(scene.said)
        outcomes.append((race.name, said, scene.outcome()))
        assert (said, scene.outcome()) == (race.said, race.outcome)
        assert drifts() == []
        # and nothing more comes of it when everything that was promised for now has been done
        scene.sweep()
        assert drifts() == []


def test_the_documentation_shows_this_table() -> None:
    page = (ROOT / "docs" / "concurrency.md").read_text()
    assert table([(race.name, race.said, race.outcome) for race in RACES]) in page


# --- with real processes and the real clock -----------------------------------------------------------------------


# How soon the next in line hears of the turn, and how soon who was banned is out, in milliseconds.
TURN_MS = 2_000
BAN_MS = 1_000
# Seconds between two pings, and the most that is counted for the time between two answers, in milliseconds.
PING = 0.05
STILL_MS = 250


class Listener(Buyer):
    """A buyer that also keeps when each frame reached it, and asks for the server's time meanwhile."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.heard: list[tuple[float, dict[str, Any]]] = []
        self._told_time = asyncio.Event()

    def _hear(self, frame: dict[str, Any]) -> None:
        self.heard.append((time.monotonic(), frame))
        if frame["type"] == "pong":
            self._told_time.set()
        super()._hear(frame)

    async def ask_the_time(self, pace: Pace) -> None:
        """Ping, one at a time: a server that stood still finds no heap of them, which it would refuse."""
        assert self._link is not None
        while True:
            await pace.step()
            self._told_time.clear()
            await self._link.send(json.dumps({"type": "ping"}))
            await self._told_time.wait()
            await asyncio.sleep(PING)

    async def join(self, stream: str) -> None:
        assert self._link is not None
        await self._link.send(json.dumps({"type": "join", "streams": [{"stream": stream}]}))
        await self.first(lambda f: f["type"] == "joined" and f["stream"] == stream)

    async def first(
        self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 20.0, after: float = 0.0
    ) -> float:
        """When the first such frame came."""
        async with asyncio.timeout(seconds):
            while True:
                for moment, frame in self.heard:
                    if moment > after and wanted(frame):
                        return moment
                await asyncio.sleep(0.005)

    async def is_late(self, came: float, since: int, limit: int) -> bool:
        """Whether a frame came too late by the server's own time."""
        # somebody who asks no more would find nothing late
        await self.first(lambda f: f["type"] == "pong", after=came)
        return is_late([f["time"] for at, f in self.heard if f["type"] == "pong" and at < came], since, limit)


def is_late(pongs: list[int], since: int, limit: int) -> bool:
    """Whether these answers, all older than a frame, say that more than `limit` milliseconds had passed `since`.

    Two must say so: the first may have been given before what was due when its ping was read. What passes between two
    answers counts up to STILL_MS: for longer than that nothing is silent but a machine that stands still.
    """
    passed, before, late = 0, since, 0
    for told in pongs:
        if told > since:
            passed, before = passed + min(told - before, STILL_MS), told
            late += passed > limit
    return late >= 2


def test_what_comes_late_would_be_found() -> None:
    steady = [1_000 + 50 * n for n in range(60)]
    # the last two of them after 2.05 and 2.1 s
    assert is_late(steady[:43], 1_000, 2_000)
    assert not is_late(steady[:42], 1_000, 2_000)
    assert not is_late(steady, 2_000, 2_000)
    # a machine that stood still for three seconds is given what it has missed, and no more
    stalled = [told + (3_000 if told > 1_500 else 0) for told in steady]
    assert not is_late(stalled[:38], 1_000, 2_000)
    assert is_late(stalled[:39], 1_000, 2_000)


@pytest.mark.timeout(180)
def test_news_cross_processes_in_time(
    postgres_url: str, redis_server: services.RedisService, live_processes: Callable[..., list[LiveProcess]]
) -> None:
    """A lapsed hold reaches the next in line within 2 s, a ban puts its target out of all processes within 1 s."""
    processes = live_processes(3, server="uvicorn", database_url=postgres_url, redis_url=redis_server.url)
    with Stage(processes[0].env) as stage:
        market = stage.open_market(rooms=1, people=4, stock=1, waitlist_cap=5, hold_for=5)
        people = [*market["people"][:2], market["owner"], *[market["people"][2]] * 3]
        asyncio.run(_news(processes, market, stage.tickets(people=people)))
        assert stage.drifts() == []


def banned_at(frame: dict[str, Any]) -> list[int]:
    """When the bans in a frame were decided."""
    return [e["at"] for e in frame.get("events", []) if e["kind"] == "member.banned"]


async def _news(processes: list[LiveProcess], market: dict[str, Any], tickets: list[str]) -> None:
    book, room, offer = Book(), market["rooms"][0], market["offers"][0]
    addresses = [p.ws_url for p in processes]
    anna, ben, owner, *devices = (Listener(book, addresses, t, at=i) for i, t in enumerate(tickets))
    # the last is one person on three devices, each on another process
    everyone = [anna, ben, owner, *devices]
    await asyncio.gather(*(one.start() for one in everyone))
    await asyncio.gather(*(one.join(room) for one in everyone))

    first = await anna.do(room, "claim.place", {"offer": offer})
    await anna.until_open(0)
    held_until = book.acks[first]["hold_until"] / 1000
    waiting = await ben.do(room, "claim.place", {"offer": offer})
    await ben.until_open(0)
    assert book.acks[waiting]["waiting"] == 1
    # as often as the rate of one person allows
    asking = [asyncio.create_task(ben.ask_the_time(Pace(19.0, 30)))]
    turn = await ben.first(
        lambda f: (
            f["type"] == "events"
            and any(
                e["kind"] == "order.changed" and any(n["state"] == "held" for n in e["body"]["lines"])
                for e in f["events"]
            )
        )
    )
    late = time.time() - (time.monotonic() - turn) - held_until
    print(f"\nthe next in line heard of the turn {late:.2f} s after the hold had ended")
    assert late >= 0
    assert not await ben.is_late(turn, book.acks[first]["hold_until"], TURN_MS)

    # one person: together they may ask no more often than ben
    pace = Pace(19.0, 30)
    for device in devices:
        device.heard.clear()
        asking.append(asyncio.create_task(device.ask_the_time(pace)))
    begun = time.monotonic()
    ban = await owner.do(room, "member.ban", {"person": market["people"][2]})
    await owner.until_open(0)
    decided = time.monotonic()
    assert ban in book.acks
    out = [await d.first(lambda f: f["type"] == "left" and f["stream"] == room) for d in devices]
    after = ", ".join(f"{moment - begun:.2f}" for moment in sorted(out))
    print(f"ban answered after {decided - begun:.2f} s; its target is out of the processes after {after} s")
    await owner.first(lambda f: bool(banned_at(f)))
    (since,) = [at for _, frame in owner.heard for at in banned_at(frame)]
    late_ones = [await d.is_late(moment, since, BAN_MS) for d, moment in zip(devices, out, strict=True)]
    assert late_ones == [False] * 3
    for task in asking:
        task.cancel()
    refused = await devices[0].do(room, "claim.place", {"offer": offer})
    await devices[0].until_open(0)
    assert book.refused[refused] == "member.banned"
    await asyncio.gather(*(one.stop() for one in everyone))
