"""Three processes are replaced one after the other while people order: no order is lost, none is there twice, and
everybody is told to come back."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests import services
from tests.processes import LiveProcess, Server
from tests.proofs.buyers import Book, Buyer, Pace
from tests.proofs.stage import Stage

BUYERS = 24
VIEWERS = 9
# Answers between two restarts: the load never ends meanwhile.
ACKS_BETWEEN = 80


@dataclass
class Viewer:
    """A guest who watches a room on one process after the other, from where the last one stopped."""

    addresses: list[str]
    room: str
    at: int
    position: int | None = None
    epoch: int = 0
    begins_at: int = 0
    heard: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def stay(self, over: asyncio.Event) -> None:
        while not over.is_set():
            address = self.addresses[self.at % len(self.addresses)]
            try:
                async with connect(
                    f"{address}/ws/", proxy=None, compression=None, ping_interval=None, open_timeout=10
                ) as link:
                    where: dict[str, Any] = {"stream": self.room}
                    if self.position is not None:
                        where |= {"after": self.position, "epoch": self.epoch}
                    await link.send(json.dumps({"type": "join", "streams": [where]}))
                    await self._listen(link, over)
                    return
            except ConnectionClosed as lost:
                self.closed.append(lost.rcvd.code if lost.rcvd else 1006)
            except OSError:
                await asyncio.sleep(0.1)  # that process is on its way
            self.at += 1

    async def _listen(self, link: Any, over: asyncio.Event) -> None:
        ending = asyncio.create_task(over.wait())
        try:
            while True:
                hearing = asyncio.create_task(link.recv())
                await asyncio.wait({hearing, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not hearing.done():
                    hearing.cancel()
                    return
                self._note(json.loads(hearing.result()))
        finally:
            ending.cancel()

    def _note(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "joined":
            self.modes.append(frame["mode"])
            self.epoch = frame["epoch"]
            if self.position is None:
                self.position = self.begins_at = frame["seq"]
            self.ready.set()
        elif frame["type"] == "events":
            # every number once and in order, also those of what this guest may not see
            self.heard += range(frame["first"], frame["last"] + 1)
            self.position = frame["last"]

    def missed_nothing(self, last: int) -> bool:
        """Whether each number since the beginning was heard once, and every return began where the last stay ended."""
        return set(self.modes[1:]) <= {"replay"} and self.heard == list(range(self.begins_at + 1, last + 1))


async def roll(
    processes: list[LiveProcess], market: dict[str, Any], tickets: list[str], head: Callable[[], int]
) -> tuple[Book, list[Viewer], list[int]]:
    book, over, chance = Book(), asyncio.Event(), random.Random(56)
    urls = [process.ws_url for process in processes]
    room, offer = market["rooms"][0], market["offers"][0]
    buyers = [Buyer(book, urls, ticket, at=n) for n, ticket in enumerate(tickets)]
    viewers = [Viewer(urls, room, at=n) for n in range(VIEWERS)]
    watching = [asyncio.create_task(viewer.stay(over)) for viewer in viewers]
    await asyncio.gather(*(buyer.start() for buyer in buyers), *(viewer.ready.wait() for viewer in viewers))
    rolled, ended = asyncio.Event(), []

    async def shop(buyer: Buyer) -> None:
        pace = Pace(6.0, 3)
        while not rolled.is_set():
            await pace.step()
            await buyer.do(room, "claim.place", {"offer": offer, "qty": chance.choice([1, 2])})
            await buyer.until_open(10)
        await buyer.until_open(0)

    shopping = [asyncio.create_task(shop(buyer)) for buyer in buyers]
    for process in processes:
        before = len(book.acks)
        while len(book.acks) - before < ACKS_BETWEEN:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ended.append(await asyncio.to_thread(process.sigterm))
        await asyncio.to_thread(process.start)
    rolled.set()
    await asyncio.gather(*shopping)
    last = await asyncio.to_thread(head)
    async with asyncio.timeout(60):
        while any(viewer.position != last for viewer in viewers):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*watching, *(buyer.stop() for buyer in buyers))
    return book, viewers, ended


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(180)
@pytest.mark.parametrize("server", ["daphne", pytest.param("uvicorn", marks=pytest.mark.heavy)])
def test_replaced_one_after_the_other_under_load(
    server: Server,
    postgres_url: str,
    redis_server: services.RedisService,
    live_processes: Callable[..., list[LiveProcess]],
) -> None:
    processes = live_processes(3, server=server, database_url=postgres_url, redis_url=redis_server.url)
    with Stage(processes[0].env) as stage:
        market = stage.open_market(people=BUYERS, stock=100_000)
        room = market["rooms"][0]
        tickets = stage.tickets(people=market["people"])
        book, viewers, ended = asyncio.run(roll(processes, market, tickets, lambda: stage.head(stream=room)))
        ledger = stage.ledger(pool=market["pool"], limited=[])
        kept, drifts, last = stage.receipts(), stage.drifts(), stage.head(stream=room)

    closed = book.closed + [code for viewer in viewers for code in viewer.closed]
    print(
        f"\n{server}: {len(book.sent)} claims, {len(book.acks)} answered, {len(book.unheard)} of them anew because the "
        f"answer was lost; {len(closed)} sockets were closed"
    )
    assert all(code in (0, -signal.SIGTERM) for code in ended), ended
    judge(book, kept, ledger, drifts)
    # nobody was cut off (1006) or let go (1000): everybody was told to come back, and did
    assert len(closed) >= BUYERS + VIEWERS
    assert set(closed) == {4001}
    for viewer in viewers:
        assert viewer.closed
        assert viewer.missed_nothing(last)


def judge(book: Book, kept: dict[str, Any], ledger: dict[str, Any], drifts: list[str]) -> None:
    """What everybody was answered is what there is."""
    # every order was answered, and is there as often as it was answered: once
    assert not book.wrong
    assert not book.refused
    assert set(book.acks) == set(book.sent)
    assert {client_id: kept[client_id] for client_id in book.acks} == book.acks
    assert ledger["most"] == sum(answer.get("got", 0) for answer in book.acks.values())
    assert drifts == []
