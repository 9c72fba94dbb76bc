"""Links that die without a word, to Redis and to clients; and a process that dies with all its viewers."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed

from chat.realtime import hub, limits, outbox, server, signal_lane
from tests import services
from tests.faults.proxy import Proxy, Way
from tests.faults.site import METRICS_TOKEN, Seat, Site, open_site
from tests.services import PostgresService, RedisService
from tests.wire.backstage import Backstage
from tests.wire.client import Wire

# A tenth of life: what is left out of account is held against the real numbers in the tests.
HASTE = {
    "chat.realtime.limits.SILENCE": 2.5,
    "chat.realtime.server.RECHECK": 0.5,
    "chat.realtime.server.BEAT": 1.0,
    "chat.realtime.hub.BEACON": 0.5,
    "chat.realtime.signal_lane.VIEWERS_EXPIRE": 2.0,
}
# How often a guest says that it is there, in seconds: many times before it would be given up.
SAYS_EACH = 0.3


@pytest.fixture(scope="module")
def site(durable_postgres_server: PostgresService, redis_server: RedisService) -> Iterator[Site]:
    with open_site(
        ("uvicorn", "daphne"), postgres=durable_postgres_server, redis=redis_server, database="links"
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def hasty(durable_postgres_server: PostgresService, redis_server: RedisService) -> Iterator[Site]:
    numbers = " ".join(f"{name}={number}" for name, number in HASTE.items())
    with open_site(
        ("uvicorn", "daphne"),
        postgres=durable_postgres_server,
        redis=redis_server,
        database="hasty",
        application="tests.faults.hasty_app:application",
        env={"LIVESALE_TEST_NUMBERS": numbers},
    ) as opened:
        yield opened


@contextlib.contextmanager
def backstage_of(site: Site) -> Iterator[Backstage]:
    made = Backstage(site.env)
    try:
        yield made
    finally:
        made.end()


@asynccontextmanager
async def guest(seat: Seat, room: str, port: int = 0) -> AsyncIterator[Wire]:
    async with Wire(f"ws://{services.HOST}:{port or seat.process.port}/ws/") as wire:
        await wire.hello()
        await wire.join(room)
        # beside the test, which may be waiting for something else: who says nothing is given up
        saying = asyncio.create_task(keep_saying(wire))
        try:
            yield wire
        finally:
            saying.cancel()
            await asyncio.wait({saying})


async def keep_saying(wire: Wire) -> None:
    # it may have heard a goodbye, or its server may have died
    with contextlib.suppress(ConnectionClosed):
        while True:
            await wire.send("ping")
            await asyncio.sleep(SAYS_EACH)


async def numbers(seat: Seat) -> dict[str, float]:
    # in a thread: the guests go on saying that they are there
    return await asyncio.to_thread(read_numbers, seat)


def read_numbers(seat: Seat) -> dict[str, float]:
    asked = urllib.request.Request(
        f"{seat.process.base_url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if line[:1] != "#"]
    return {name: float(number) for name, _, number in lines}


# --- Redis --------------------------------------------------------------------------------------------------------


async def cut(seat: Seat) -> None:
    seat.redis.refuse()


async def swallow(seat: Seat) -> None:
    seat.redis.hold()


@pytest.mark.parametrize("harm", [cut, swallow])
async def test_what_a_process_did_not_hear_while_its_redis_was_away_reaches_its_open_sockets(
    site: Site, harm: Callable[[Seat], object]
) -> None:
    here, there = site.seats
    with backstage_of(site) as backstage:
        owner = backstage.person(name="Olga")
        room = backstage.room(owner=owner)
        async with (
            guest(there, room) as reader,
            Wire(f"{here.process.ws_url}/ws/") as writer,
        ):
            await writer.auth(backstage.ticket(person=owner))
            await writer.say(room, "before")
            await reader.event("message.sent", text="before")
            filled = (await numbers(there)).get("livesale_hole_events_total", 0)
            asked = there.redis.asked
            await harm(there)  # type: ignore[misc]
            try:
                for n in range(5):
                    await writer.say(room, f"meanwhile {n}")
                async with asyncio.timeout(10):
                    await reader.event("message.sent", text="meanwhile 4")
                if harm is cut:
                    # it has tried to come back, and was not let in
                    await asyncio.to_thread(
                        services.wait_until, lambda: there.redis.asked > asked, what="another attempt"
                    )
            finally:
                there.redis.flow()
            await writer.say(room, "after")
            async with asyncio.timeout(10):
                await reader.event("message.sent", text="after")
            # on the same socket, each once, in order, and it was the log that gave them
            assert reader.close_code is None
            assert [e["body"]["text"] for e in reader.events(room)] == [
                "before", *(f"meanwhile {n}" for n in range(5)), "after",
            ]  # fmt: skip
            assert (await numbers(there))["livesale_hole_events_total"] >= filled + 5


# --- viewers ------------------------------------------------------------------------------------------------------


async def viewers(wire: Wire, room: str, count: int) -> None:
    def told() -> int:
        values = [f["values"] for f in wire.frames if f["type"] == "values" and f["stream"] == room]
        return next((v["viewers"][1] for v in reversed(values) if "viewers" in v), 0)

    async with asyncio.timeout(20):
        while told() != count:  # noqa: ASYNC110 - others make the frames
            await asyncio.sleep(0.05)


async def test_viewers_of_a_process_that_died_are_soon_counted_no_more(hasty: Site) -> None:
    here, there = hasty.seats
    with backstage_of(hasty) as backstage:
        room = backstage.room(owner=backstage.person(name="Olga"))
        async with contextlib.AsyncExitStack() as stack:
            mine = await stack.enter_async_context(guest(here, room))
            for _ in range(5):
                await stack.enter_async_context(guest(there, room))
            await viewers(mine, room, 6)
            await asyncio.to_thread(there.process.kill9)
            await viewers(mine, room, 1)
            await asyncio.to_thread(there.process.start)
            async with guest(there, room) as back:
                await asyncio.gather(viewers(mine, room, 2), viewers(back, room, 2))
    # in life: forgotten when not repeated, looked at with the next beacon, told with the next tick
    assert signal_lane.VIEWERS_EXPIRE + hub.BEACON + signal_lane.VIEWERS_TICK < 60
    # a doorbell or two may be lost before anybody is taken for dead
    assert signal_lane.VIEWERS_EXPIRE > 2 * hub.BEACON


# --- clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [("to_server",), ("to_server", "to_client")])
@pytest.mark.parametrize("which", [0, 1], ids=["uvicorn", "daphne"])
async def test_a_client_whose_link_was_swallowed_is_given_up_and_nobody_else(
    hasty: Site, which: int, ways: tuple[Way, ...]
) -> None:
    seat = hasty.seats[which]
    with backstage_of(hasty) as backstage, Proxy(services.HOST, seat.process.port) as proxy:
        room = backstage.room(owner=backstage.person(name="Olga"))
        # those of an earlier test may still be on their way out
        async with asyncio.timeout(20):
            while (before := await numbers(seat))["livesale_sockets"]:  # noqa: ASYNC110 - the server lets them go
                await asyncio.sleep(0.1)
        async with guest(seat, room) as alive, guest(seat, room, proxy.port) as dead:
            assert (await numbers(seat))["livesale_sockets"] == before["livesale_sockets"] + 2
            began = asyncio.get_running_loop().time()
            # its silence begins after this was heard, however long the test takes to go on
            await dead.join(room)
            proxy.hold(*ways)
            # both are there and say so; one is not heard
            while (await numbers(seat))["livesale_sockets"] != before["livesale_sockets"] + 1:
                assert asyncio.get_running_loop().time() - began < 60, "never given up"
                await asyncio.sleep(0.1)
            assert asyncio.get_running_loop().time() - began > HASTE["chat.realtime.limits.SILENCE"]
            closed = 'livesale_sockets_closed_total{reason="silent"}'
            assert (await numbers(seat))[closed] == before.get(closed, 0) + 1
            assert alive.close_code is None
            proxy.cut()
    # in life: looked at every few seconds, and then a goodbye that is not answered
    assert limits.SILENCE + server.RECHECK + outbox.LAST_TIMEOUT + outbox.GOODBYE <= 60
    # a client that answers every beat is heard twice before it would be given up
    assert 2 * limits.BEAT < limits.SILENCE
