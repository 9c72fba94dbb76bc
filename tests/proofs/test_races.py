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
from tests.proofs.buyers import Book, Buyer
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


class Listener(Buyer):
    """A buyer that also keeps when each kind of event of a stream reached it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.heard: list[tuple[float, dict[str, Any]]] = []

    def _hear(self, frame: dict[str, Any]) -> None:
        self.heard.append((time.monotonic(), frame))
        super()._hear(frame)

    async def join(self, stream: str) -> None:
        assert self._link is not None
        await self._link.send(json.dumps({"type": "join", "streams": [{"stream": stream}]}))
        await self.first(lambda f: f["type"] == "joined" and f["stream"] == stream)

    async def first(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 20.0) -> float:
        """When the first such frame came."""
        async with asyncio.timeout(seconds):
            while True:
                for moment, frame in self.heard:
                    if wanted(frame):
                        return moment
                await asyncio.sleep(0.005)


@pytest.mark.timeout(180)
def test_news_cross_processes_in_time(
    postgres_url: str, redis_server: services.RedisService, live_processes: Callable[..., list[LiveProcess]]
) -> None:
    """A lapsed hold reaches the next in line within 2 s, a ban puts its target out of all processes within 1 s."""
    processes = live_processes(3, server="uvicorn", database_url=postgres_url, redis_url=redis_server.url)
    with Stage(processes[0].env) as stage:
        market = stage.open_market(rooms=1, people=4, stock=1, waitlist_cap=5, hold_for=2)
        people = [*market["people"][:2], market["owner"], *[market["people"][2]] * 3]
        asyncio.run(_news(processes, market, stage.tickets(people=people)))
        assert stage.drifts() == []


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
    assert 0 <= late <= 2

    for device in devices:
        device.heard.clear()
    begun = time.monotonic()
    ban = await owner.do(room, "member.ban", {"person": market["people"][2]})
    await owner.until_open(0)
    decided = time.monotonic()
    assert ban in book.acks
    out = [await d.first(lambda f: f["type"] == "left" and f["stream"] == room) for d in devices]
    after = ", ".join(f"{moment - begun:.2f}" for moment in sorted(out))
    print(f"ban answered after {decided - begun:.2f} s; its target is out of the processes after {after} s")
    assert max(out) - begun <= 1
    refused = await devices[0].do(room, "claim.place", {"offer": offer})
    await devices[0].until_open(0)
    assert book.refused[refused] == "member.banned"
    await asyncio.gather(*(one.stop() for one in everyone))
