"""Counts of stock while many order: few frames for everybody who watches, and the right number in the end.

Nothing here depends on how fast the machine is: frames are counted against the time in which they came, and "soon" is
what the server's own clock says in answers to pings.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests import services
from tests.processes import LiveProcess, Server
from tests.proofs.buyers import Book, Buyer, Pace
from tests.proofs.stage import Stage

BUYERS = 24
WATCHERS = 12
EACH = 40
# What the wire promises: frames with counts for one client, and how soon after quiet they are exact.
PER_SECOND = 5
SOON_MS = 1_000


@dataclass
class Watcher:
    """A guest who looks at a sale and keeps every count, when it came and what it said."""

    address: str
    room: str
    offer: str
    counts: list[tuple[float, int, dict[str, int]]] = field(default_factory=list)
    # the server's clock and how many counts had come by then
    pongs: list[tuple[int, int]] = field(default_factory=list)
    joined: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        async with connect(f"{self.address}/ws/", proxy=None, compression=None, ping_interval=None) as link:
            await link.send(json.dumps({"type": "join", "streams": [{"stream": self.room}]}))

            async def ask() -> None:
                while not over.is_set():
                    await asyncio.sleep(0.1)
                    await link.send(json.dumps({"type": "ping"}))
                await link.close()

            asking = asyncio.create_task(ask())
            async for said in link:
                frame = json.loads(said)
                if frame["type"] == "joined":
                    self.joined.set()
                elif frame["type"] == "pong":
                    self.pongs.append((frame["time"], len(self.counts)))
                elif frame["type"] == "values" and (told := frame["values"].get(f"stock:{self.offer}")):
                    self.counts.append((loop.time(), told[0], told[1]))
            await asking

    @property
    def latest(self) -> dict[str, int]:
        return max(self.counts, key=lambda count: count[1])[2]


def what_is_wrong(watcher: Watcher, exact: dict[str, int], quiet_at: int) -> list[str]:
    """What a watcher has heard that it should not have, or too late."""
    found = []
    span = watcher.counts[-1][0] - watcher.counts[0][0]
    # beside them the one with which a newcomer begins, and the one that begins the span
    if len(watcher.counts) > PER_SECOND * span + 2:
        found.append(f"{len(watcher.counts)} counts in {span:.2f} s")
    versions = [version for _, version, _ in watcher.counts]
    if versions != sorted(set(versions)):
        found.append("an older count came after a younger one")
    # a ping that was read together with others may be answered before the tick that was due: the second one is not
    late = [heard for at, heard in watcher.pongs if at > quiet_at + SOON_MS][1]
    if watcher.counts[late - 1][2] != exact:
        found.append(f"{watcher.counts[late - 1][2]} a second after quiet")
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("server", [pytest.param("daphne", marks=pytest.mark.heavy), "uvicorn"])
async def test_counts_are_few_while_many_order_and_exact_soon_after(
    server: Server,
    postgres_url: str,
    redis_server: services.RedisService,
    live_processes: Callable[..., list[LiveProcess]],
) -> None:
    processes = await asyncio.to_thread(
        live_processes, 2, server=server, database_url=postgres_url, redis_url=redis_server.url
    )
    chance, book, over = random.Random(17), Book(), asyncio.Event()
    with Stage(processes[0].env) as stage:
        market = stage.open_market(people=BUYERS, stock=BUYERS * EACH * 2)
        room, offer = market["rooms"][0], market["offers"][0]
        urls = [process.ws_url for process in processes]
        buyers = [
            Buyer(book, urls, ticket, at=n) for n, ticket in enumerate(stage.tickets(people=market["people"]))
        ]
        watchers = [Watcher(urls[n % 2], room, offer) for n in range(WATCHERS)]
        watching = [asyncio.create_task(watcher.watch(over)) for watcher in watchers]
        await asyncio.gather(*(buyer.start() for buyer in buyers), *(w.joined.wait() for w in watchers))

        async def shop(buyer: Buyer) -> None:
            pace = Pace(15.0, 4)
            for _ in range(EACH):
                await pace.step()
                await buyer.do(room, "claim.place", {"offer": offer, "qty": chance.choice([1, 1, 2])})
                await buyer.until_open(6)
            await buyer.until_open(0)

        await asyncio.gather(*(shop(buyer) for buyer in buyers))
        quiet_at = stage.clock()
        row: dict[str, Any] = stage.pool_row(pool=market["pool"])
        async with asyncio.timeout(60):
            while not all(sum(at > quiet_at + SOON_MS for at, _ in w.pongs) > 2 for w in watchers):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*watching)
        await asyncio.gather(*(buyer.stop() for buyer in buyers))

    exact = {"free": row["stock"] - row["held"] - row["sold"], "held": row["held"], "sold": row["sold"]}
    exact |= {"waiting": 0}
    heard = sum(len(w.counts) for w in watchers)
    print(f"\n{server}: {len(book.acks)} claims, {heard} counts to {WATCHERS} watchers, in the end {exact}")
    assert not book.wrong
    assert len(book.acks) == BUYERS * EACH
    assert row["held"] == sum(answer["got"] for answer in book.acks.values())
    assert [what_is_wrong(watcher, exact, quiet_at) for watcher in watchers] == [[]] * WATCHERS
    # the control: were they not merged there would be one for each commit, and these looks would find it
    assert heard < WATCHERS * len(book.acks) / 4
    told = Watcher("", room, offer, [(n / 20, n, exact) for n in range(40)], [(quiet_at + 2_000, 40)] * 2)
    assert what_is_wrong(told, exact, quiet_at) == ["40 counts in 1.95 s"]
    told.counts = [(0.0, 1, exact), (9.0, 2, {**exact, "free": -1})]
    told.pongs = [(quiet_at + 2_000, 2)] * 2
    assert len(what_is_wrong(told, exact, quiet_at)) == 1
