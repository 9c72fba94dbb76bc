"""Server processes are killed in the middle of everything: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.processes import LiveProcess
from tests.proofs.buyers import Book, Buyer, Pace
from tests.proofs.stage import Stage
from tests.proofs.test_never_oversold import own_database

BUYERS = 60
ACKS_BETWEEN = 200


class Killer:
    """Kills the process that answers most, after so many answers and at a random moment, and starts it again while
    the others go on."""

    def __init__(
        self,
        processes: list[LiveProcess],
        buyers: list[Buyer],
        rush: Callable[[Buyer], Coroutine[Any, Any, None]],
        book: Book,
        kills: int,
        chance: random.Random,
    ) -> None:
        self._ready = list(processes)
        self._rush = rush
        self._buyers = buyers
        self._book = book
        self._kills = kills
        self._chance = chance
        self.points: list[int] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        coming_back: list[Any] = []
        for _ in range(self._kills):
            while len(self._ready) < 2:
                await asyncio.wait(coming_back, return_when=asyncio.FIRST_COMPLETED)
                coming_back = [c for c in coming_back if not c.done() or c.result()]
            before = Counter(self._book.answered)
            # asked again and again, because nothing may stand between an answer and the signal; of all processes,
            # because buyers who have lost theirs may go to any
            while (chosen := self._busiest(before)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            # all at once, so that batches are large: the time between commit and last answer is what is to be hit
            await asyncio.gather(
                *(self._rush(buyer) for buyer in self._buyers if buyer.address == chosen.ws_url)
            )
            await asyncio.sleep(self._chance.uniform(0, 0.1))
            self.points.append(self._book.answered[chosen.ws_url] - before[chosen.ws_url])
            os.kill(chosen.pid, signal.SIGKILL)
            self._ready.remove(chosen)
            coming_back.append(loop.run_in_executor(None, self._again, chosen))
        await asyncio.gather(*coming_back)

    def _busiest(self, before: Counter[str]) -> LiveProcess | None:
        """The process that has given most answers since then; None while none has given enough."""
        since = self._book.answered - before
        chosen = max(self._ready, key=lambda process: since[process.ws_url])
        return chosen if since[chosen.ws_url] >= ACKS_BETWEEN else None

    def _again(self, process: LiveProcess) -> None:
        process.kill9()
        process.restart()
        self._ready.append(process)


async def under_fire(
    processes: list[LiveProcess],
    market: dict[str, Any],
    tickets: list[str],
    kills: int,
    chance: random.Random,
) -> tuple[Book, Killer]:
    """Everybody claims and talks while processes are killed; afterwards every id is sent once more."""
    book = Book()
    addresses = [p.ws_url for p in processes]
    buyers = [Buyer(book, addresses, ticket, at=i) for i, ticket in enumerate(tickets)]

    async def rush(buyer: Buyer) -> None:
        at = chance.randrange(len(market["rooms"]))
        for _ in range(8):
            await buyer.do(market["rooms"][at], "claim.place", {"offer": market["offers"][at]})

    killer = Killer(processes, buyers, rush, book, kills, chance)
    over = asyncio.Event()

    async def act(buyer: Buyer) -> None:
        pace = Pace(8.0, 15)
        while not over.is_set():
            await pace.step()
            at = chance.randrange(len(market["rooms"]))
            room = market["rooms"][at]
            if chance.random() < 0.1:
                await buyer.do(room, "say", {"text": "a word in between"})
            else:
                await buyer.do(room, "claim.place", {"offer": market["offers"][at]})
            await buyer.until_open(16)
        await buyer.until_open(0)

    await asyncio.gather(*(buyer.start() for buyer in buyers))
    try:
        # a buyer who fails ends the killer's waiting: nobody would answer what it waits for
        async with asyncio.timeout(60 + 60 * kills), asyncio.TaskGroup() as group:
            for buyer in buyers:
                group.create_task(act(buyer))
            await killer.run()
            over.set()
    except TimeoutError:
        raise AssertionError(
            f"{len(killer.points)} kills so far; {dict(book.answered)} answered, closed {Counter(book.closed)}, "
            f"refused {book.codes()}; open: {Counter(len(buyer.open) for buyer in buyers)}"
        ) from None
    await replay(book, buyers)
    await asyncio.gather(*(buyer.stop() for buyer in buyers))
    return book, killer


async def replay(book: Book, buyers: list[Buyer]) -> None:
    """Send every id again that anybody ever used: by the same person, over whichever process they are on."""
    heard, known = set(book.unheard), set(book.acks)

    async def again(buyer: Buyer) -> int:
        mine = [(client_id, sent) for client_id, sent in buyer.mine.items() if client_id in known]
        pace = Pace(19.0, 30)
        for client_id, sent in mine:
            await pace.step()
            await buyer.do(sent.stream, sent.name, sent.body, client_id)
            await buyer.until_open(30)
        await buyer.until_open(0)
        return len(mine)

    assert sum(await asyncio.gather(*(again(buyer) for buyer in buyers))) == len(known)
    book.unheard = heard


@pytest.mark.faults
@pytest.mark.timeout(720)
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.heavy)])
def test_what_was_acknowledged_is_there_once(
    kills: int,
    durable_postgres_server: services.PostgresService,
    redis_server: services.RedisService,
    live_processes: Callable[..., list[LiveProcess]],
) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    url = durable_postgres_server.create_database("never_lost")
    processes = live_processes(3, server="uvicorn", database_url=url, redis_url=redis_server.url)
    with Stage(processes[0].env) as stage:
        market = stage.open_market(rooms=2, people=BUYERS, stock=1_000_000)
        tickets = stage.tickets(people=market["people"])
        book, killer = asyncio.run(under_fire(processes, market, tickets, kills, chance))
        receipts, counts, found = stage.receipts(), stage.counts(), stage.drifts()
    print(
        f"\nseed {seed}: {kills} kills after {killer.points} answers; {len(book.acks)} acknowledged, "
        f"{len(book.unheard)} committed whose answer was lost, refused {book.codes()}, rows {counts}"
    )
    assert book.wrong == []
    assert len(killer.points) == kills
    # nothing lost: every acknowledged id has the answer that was heard
    assert {i: receipts.get(i) for i in book.acks} == book.acks
    # nothing doubled: one line and one event per claim, one row per message, however often it was sent
    claims = sum(1 for i in book.acks if book.sent[i].name == "claim.place")
    messages = len(book.acks) - claims
    assert counts["lines"] == counts["told_claims"] == claims
    assert counts["messages"] == counts["told_messages"] == messages
    # nothing is there that nobody heard of: what was committed unheard was answered when it was sent again
    assert not set(book.refused) & set(receipts)
    assert found == []
    if kills >= 10:
        assert book.unheard, "no kill fell between commit and answer: they fell too early or too late"


# --- the control --------------------------------------------------------------------------------------------------


def claims_across_a_crash(
    server: services.PostgresServer, name: str, stop_after: float
) -> tuple[int, list[str]]:
    """Claims while the database is killed: how many were answered, which of them are gone."""
    with own_database(server, name) as env, Stage(env) as stage:
        path = str(Path(env["LIVESALE_DATA"]) / "answers")
        market = stage.open_market(rooms=1, people=50, stock=1_000_000)
        server.checkpoint()
        with Stage(env) as claiming:
            crash = threading.Thread(target=crash_after_first_answers, args=(server, Path(path), stop_after))
            crash.start()
            done = claiming.claim_until_killed(market=market, path=path, batches=10_000)
            crash.join()
        server.start()
        with Stage(env) as after:
            return done, after.lost(path=path)


def crash_after_first_answers(server: Crashing, path: Path, seconds: float) -> None:
    # three batches: on a slow disk the time below alone might see no more than the first
    services.wait_until(
        lambda: path.exists() and path.read_bytes().count(b"\n") >= 60, what="the first answers", seconds=60
    )
    time.sleep(seconds)
    server.crash()


class Crashing(services.PostgresServer):
    """A server that can be ended as by power loss of the process: all of its processes at once."""

    def checkpoint(self) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def crash(self) -> None:
        pids = [self._program.pid if self._program else 0, *services.processes_in(self._data)]
        for pid in dict.fromkeys(filter(None, pids)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.kill()


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_database_that_answers_before_it_has_written_is_caught() -> None:
    """The control: with `synchronous_commit = off` a crash of the database loses answers, and the check says which."""
    tries = 10
    late = {"synchronous_commit": "off", "wal_writer_delay": "10000", "wal_writer_flush_after": "1GB"}
    for options, careless in (({}, False), (late, True)):
        server = Crashing(durable=True, options={"wal_buffers": "64MB", **options})
        try:
            for number in range(tries if careless else 1):
                done, gone = claims_across_a_crash(server, f"control{number}", 0.5 + 0.1 * number)
                print(
                    f"\n{'off' if careless else 'on'}: {done} answered before the crash, {len(gone)} of them gone"
                )
                assert done > 20
                if not careless:
                    assert gone == []
                if gone:
                    break
            assert bool(gone) is careless
        finally:
            server.stop()
