"""The link to the database is cut around COMMIT: the same id has one definite result afterwards, whichever it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from tests.faults.proxy import COMMIT_ASKED, COMMIT_DONE, COMMIT_SENT, Pattern
from tests.faults.site import UNGUARDED, Seat, Site, open_site
from tests.proofs.stage import Stage
from tests.services import PostgresService, RedisService
from tests.wire.client import Wire, new_id

PATTERNS = (COMMIT_ASKED, COMMIT_DONE, COMMIT_SENT)
POINTS = 21


@dataclass
class House:
    site: Site
    books: Stage
    market: dict[str, Any]

    async def wire(self, seat: Seat, person: str) -> Wire:
        wire = Wire(f"{seat.process.ws_url}/ws/")
        await wire.__aenter__()
        made = await asyncio.to_thread(self.books.tickets, people=[person])
        await wire.auth(made[0])
        return wire


@contextmanager
def opened(postgres: PostgresService, redis: RedisService, without: str = "") -> Iterator[House]:
    how: dict[str, Any] = (
        {"application": UNGUARDED, "env": {"LIVESALE_TEST_WITHOUT": without}} if without else {}
    )
    with (
        open_site(
            ("uvicorn", "daphne"), postgres=postgres, redis=redis, database=f"commit_{without}", **how
        ) as site,
        Stage(site.env, "tests.faults.books") as books,
    ):
        yield House(site, books, books.open_market(rooms=1, people=4, stock=1_000))


@pytest.fixture(scope="module")
def house(durable_postgres_server: PostgresService, redis_server: RedisService) -> Iterator[House]:
    with opened(durable_postgres_server, redis_server) as made:
        yield made


@dataclass
class Point:
    """One command, and where its transaction is cut."""

    id: str
    name: str
    body: dict[str, Any]
    pattern: Pattern
    # twice: the second attempt of the same process is cut as well, and the client hears "not now"
    times: int

    def __str__(self) -> str:
        return f"{self.name} {self.times} × {self.pattern}"


async def cut_and_ask(
    house: House, seats: list[Seat], wires: list[Wire], point: Point
) -> list[dict[str, Any]]:
    """Every answer that the client hears: the first one, and those to the same id at each process."""
    room = house.market["rooms"][0]
    # the client's id is in the first statements of the transaction, as PostgreSQL keeps it
    marker = UUID(point.id).bytes
    trap = seats[0].database.cut_at(point.pattern, after=marker, times=point.times)
    heard = [await wires[0].ask_for(room, point.name, point.body, id=point.id)]
    assert await asyncio.to_thread(trap.wait, 5), point
    assert trap.caught == point.times
    for wire in (*wires, wires[0]):
        heard.append(await wire.ask_for(room, point.name, point.body, id=point.id))
    return heard


async def cut_everywhere(
    house: House, count: int, patterns: tuple[Pattern, ...]
) -> list[tuple[Point, list[Any]]]:
    seats = house.site.seats
    person = house.market["people"][0]
    wires = [await house.wire(seat, person) for seat in seats]
    done = []
    try:
        for n in range(count):
            claim = n % 2
            name = "claim.place" if claim else "message.send"
            body = {"offer": house.market["offers"][0]} if claim else {"text": f"message {n}"}
            point = Point(new_id(), name, body, patterns[n % len(patterns)], 1 + n // len(patterns) % 2)
            way = slice(None, None, 1 if n % 4 < 2 else -1)
            done.append((point, await cut_and_ask(house, seats[way], wires[way], point)))
    finally:
        for wire in wires:
            await wire.close()
    return done


async def test_a_commit_that_is_cut_has_one_result(house: House) -> None:
    before = house.books.rows(people=house.market["people"])
    done = await cut_everywhere(house, POINTS, PATTERNS)
    told_later = 0
    for point, (first, *later) in done:
        if first["type"] == "error":
            assert (first["code"], first["temporary"]) == ("server.unavailable", True), point
            told_later += 1
        answers = [f["answer"] for f in (first, *later) if f["type"] == "ack"]
        assert len(answers) == len(later) + (first["type"] == "ack"), point
        assert all(a == answers[0] for a in answers), point
        # carried out once: every later sending of the id was a repeat
        assert all(f.get("repeated") for f in later[1:]), point
    assert told_later > 3, "no second attempt was cut"
    after = house.books.rows(people=house.market["people"])
    messages = sum(1 for point, _ in done if point.name == "message.send")
    assert after["messages"] - before["messages"] == messages
    assert after["lines"] - before["lines"] == after["told claims"] == POINTS - messages
    assert after["receipts"] - before["receipts"] == POINTS
    assert house.books.sequences() == []
    assert house.books.drifts() == []


async def test_without_receipts_the_same_cuts_double(
    durable_postgres_server: PostgresService, redis_server: RedisService
) -> None:
    """The control: the test sees a command that was carried out twice."""
    with opened(durable_postgres_server, redis_server, without="receipts") as house:
        done = await cut_everywhere(house, 4, (COMMIT_DONE,))
        after = house.books.rows(people=house.market["people"])
        assert len(done) == 4
        assert after["messages"] > 2
        assert after["lines"] > 2


async def test_a_database_that_is_away_is_told_as_such(house: House) -> None:
    """Not as a mistake of the client's: what it wants can be had later, with the same id, sign-in and all."""
    chance = random.Random()
    seat = chance.choice(house.site.seats)
    room = house.market["rooms"][0]
    # others than the one who has just written as much as one may
    ticket, later = house.books.tickets(people=house.market["people"][1:3])
    async with (
        Wire(f"{seat.process.ws_url}/ws/") as inside,
        Wire(f"{seat.process.ws_url}/ws/") as outside,
    ):
        await inside.auth(ticket)
        await outside.hello()
        seat.database.refuse()
        command = new_id()
        answer = await inside.ask_for(room, "message.send", {"text": "now"}, id=command)
        assert (answer["code"], answer["temporary"]) == ("server.unavailable", True)
        await inside.send("ask", ids=[command])
        answer = await inside.wait(lambda f: f["type"] == "error" and "id" not in f, "the answer to ask")
        assert (answer["code"], answer["temporary"]) == ("server.unavailable", True)
        await outside.send("auth", ticket=later)
        assert await outside.expect_close() == 4100
        bye = outside.frames[-1]
        assert bye["retry_after"] > 0
        seat.database.flow()
        assert (await inside.ask_for(room, "message.send", {"text": "now"}, id=command))["type"] == "ack"
    async with Wire(f"{seat.process.ws_url}/ws/") as outside:
        # the ticket was not used up
        assert (await outside.auth(later))["you"]["id"] == house.market["people"][2]
    assert "frame could not be handled\n" not in seat.process.log
