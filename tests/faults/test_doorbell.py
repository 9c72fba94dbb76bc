"""The channel layer rings late, twice or not at all, and everybody has the same log in the end."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections.abc import Callable

import pytest

from chat.log.models import Audience
from tests.services import PostgresService, RedisService
from tests.wire.client import Wire
from tests.wire.conftest import House, migrated, open_house

# Every wait in here has a limit of its own, and together they may take longer than a test usually does.
pytestmark = pytest.mark.timeout(400)

MESSAGES = 60
READERS = 4
LAYERS = ["tests.faults.lossy.LossyQueues", "tests.faults.lossy.LossyPubSub"]


@pytest.fixture(scope="module")
def doorbell_database(durable_postgres_server: PostgresService):
    yield migrated(durable_postgres_server.create_database("doorbell"))
    durable_postgres_server.drop_database("doorbell")


def told(house: House) -> dict[str, int]:
    """What the processes' layers have lost, together."""
    total: dict[str, int] = {}
    for process in (house.first, house.second):
        with urllib.request.urlopen(f"{process.base_url}/counted") as answer:
            for word in answer.read().decode().split():
                name, _, number = word.partition("=")
                total[name] = total.get(name, 0) + int(number)
    return total


@contextlib.contextmanager
def lossy_house(redis: RedisService, database: str, layer: str, **env: str):
    with open_house(
        2,
        server="uvicorn" if layer.endswith("Queues") else "daphne",
        database_url=database,
        redis_url=redis.url,
        channel_layer=layer,
        application="tests.faults.lossy_app:application",
        migrate=False,
        env=env,
    ) as house:
        yield house


async def say_all(
    house: House, room: str, writers: list[str], in_the_middle: Callable[[], None] | None = None
) -> None:
    """Many people write one message each, by REST's way into the log or by sockets of the first process."""
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(house.enter(person)) for person in writers]
        for n in range(MESSAGES):
            answer = await wires[n % len(wires)].ask_for(room, "message.send", {"text": f"message {n}"})
            assert answer["type"] == "ack", answer
            if n == MESSAGES // 3 and in_the_middle is not None:
                await asyncio.to_thread(in_the_middle)


async def assert_converged(house: House, room: str, readers: list[Wire]) -> None:
    log = house.backstage.log(stream=room)
    assert len(log) == MESSAGES
    # a room that is too busy shows some messages to their authors only
    public = [seq for seq, _, audience in log if audience == Audience.PUBLIC]
    for reader in readers:
        await reader.wait(lambda f: f["type"] == "events" and f["last"] == MESSAGES, "the end of the log")
        # exactly once, in order, without a hole
        assert [e["seq"] for e in reader.events(room)] == public
        ends = [0, *(last for _, last in reader.ranges(room))]
        assert [first for first, _ in reader.ranges(room)] == [last + 1 for last in ends[:-1]]


async def listen(stack: contextlib.AsyncExitStack, house: House, room: str) -> list[Wire]:
    """Readers on the process that nobody writes to."""
    readers = []
    for _ in range(READERS):
        reader = await stack.enter_async_context(house.wire(house.second))
        await reader.hello()
        await reader.join(room)
        readers.append(reader)
    return readers


@pytest.mark.parametrize("layer", LAYERS)
async def test_losses_repeats_and_an_emptied_or_killed_redis_are_made_good(
    redis_server: RedisService, doorbell_database: str, layer: str
):
    with lossy_house(redis_server, doorbell_database, layer) as house:
        backstage = house.backstage
        owner = backstage.person(name="Olga")
        writers = [backstage.person(name=f"Writer {n}") for n in range(12)]

        for trouble in (None, redis_server.flushall, redis_server.restart):
            room = backstage.room(owner=owner)
            async with contextlib.AsyncExitStack() as stack:
                readers = await listen(stack, house, room)
                await say_all(house, room, writers, trouble)
                await assert_converged(house, room, readers)
        done = told(house)
        assert done["lost"] > 0
        assert done["repeated"] > 0
        assert done["filled"] > 0

        for away, back in (
            (redis_server.kill, redis_server.start),
            (redis_server.pause, redis_server.resume),
        ):
            away()
            room = backstage.room(owner=owner)
            async with contextlib.AsyncExitStack() as stack:
                # sockets come in, people write, everybody hears
                readers = await listen(stack, house, room)
                await say_all(house, room, writers)
                await assert_converged(house, room, readers)
            back()

        room = backstage.room(owner=owner)
        async with contextlib.AsyncExitStack() as stack:
            readers = await listen(stack, house, room)
            await die_while_writing(house, room, writers)
            log = backstage.log(stream=room)
            for reader in readers:
                await reader.wait(
                    lambda f: f["type"] == "events" and f["last"] == len(log), "the end of the log"
                )
                assert [e["seq"] for e in reader.events(room)] == list(range(1, len(log) + 1))


async def die_while_writing(house: House, room: str, writers: list[str]) -> None:
    """The first process is killed in the middle: what it has acknowledged is there, and nothing is there twice."""
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(house.enter(person)) for person in writers]
        sent = {
            await wire.do(room, "message.send", {"text": f"text {n}"}): wire
            for n in range(4)
            for wire in wires
        }
        await wires[0].expect("ack")
        await asyncio.to_thread(house.first.kill9)
        for wire in wires:
            await wire.expect_close()
        acknowledged = {f["id"] for wire in wires for f in wire.frames if f["type"] == "ack"}
    house.first.start()
    known = 0
    for n, wire in enumerate(wires):
        mine = [command for command, w in sent.items() if w is wire]
        async with house.enter(writers[n]) as again:
            await again.send("ask", ids=mine)
            answers = (await again.expect("told"))["answers"]
            assert {command for command in mine if command in acknowledged} <= {
                c for c, a in answers.items() if a
            }
            known += sum(answer is not None for answer in answers.values())
    # counted last: PostgreSQL may have finished what the killed process had sent it after the kill
    written = len(house.backstage.log(stream=room))
    assert len(acknowledged) <= written <= len(sent)
    assert known == written


async def test_without_repair_the_same_readers_are_left_behind(
    redis_server: RedisService, doorbell_database: str
):
    """The control: it is the repair that makes the losses good, not luck."""
    with lossy_house(redis_server, doorbell_database, LAYERS[0], LIVESALE_TEST_NO_REPAIR="1") as house:
        owner = house.backstage.person(name="Olga")
        writers = [house.backstage.person(name=f"Writer {n}") for n in range(12)]
        room = house.backstage.room(owner=owner)
        async with contextlib.AsyncExitStack() as stack:
            readers = await listen(stack, house, room)
            await say_all(house, room, writers)
            # a later doorbell that did arrive shows that the layer works
            with pytest.raises((AssertionError, TimeoutError)):
                async with asyncio.timeout(6):
                    await assert_converged(house, room, readers)
        assert told(house)["lost"] > 0
