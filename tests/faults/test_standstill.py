"""One part stands still, a room that is locked or a Redis that is dead, and the others do not wait for it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests import services
from tests.services import PostgresService, RedisService
from tests.wire.conftest import House, open_house


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisService]:
    """One that nobody else needs: it is killed."""
    server = services.start_redis()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def house(own_redis: RedisService, durable_postgres_server: PostgresService) -> Iterator[House]:
    """Two processes that hear of each other through Redis."""
    url = durable_postgres_server.create_database("standstill")
    with open_house(2, server="uvicorn", database_url=url, redis_url=own_redis.url) as opened:
        yield opened
    durable_postgres_server.drop_database("standstill")


async def test_a_room_that_is_locked_delays_nobody_elsewhere(house: House):
    owner = house.backstage.person(name="Olga")
    stuck, free = (house.backstage.room(owner=owner) for _ in range(2))
    async with house.enter(owner) as there, house.enter(owner) as here:
        await there.join(stuck)
        await here.join(free)
        with psycopg.connect(house.first.env["DATABASE_URL"]) as holder:
            holder.execute("SELECT 1 FROM stream_head WHERE stream_id = %s FOR UPDATE", [stuck])
            waits = await there.do(stuck, "message.send", {"text": "waits"})
            for n in range(5):
                # answered while the other is not: neither reads nor writes share a queue with it
                await here.say(free, f"{n}")
                await here.send("ping", at=n)
                await here.expect("pong", at=n)
            assert not [f for f in there.frames if f.get("id") == waits and f["type"] == "ack"]
            holder.rollback()
        answer = await there.wait(lambda f: f.get("id") == waits, "the answer of the room that was locked")
        # it may have been told to come again; then it does
        if answer["type"] == "error":
            assert answer["temporary"]
            again = await there.ask_for(stuck, "message.send", {"text": "waits"}, id=waits)
            assert again["type"] == "ack"


async def test_without_redis_people_write_are_banned_and_signed_out_all_the_same(
    house: House, own_redis: RedisService
):
    owner, guest = (house.backstage.person(name=name) for name in ("Olga", "Gus"))
    room = house.backstage.room(owner=owner)
    session = house.backstage.session(person=owner)
    async with (
        house.enter(owner) as host,
        house.page(session, house.second) as page,
        house.enter(guest, house.second) as victim,
    ):
        await page.hello()
        await page.join(room)
        await victim.join(room)
        own_redis.kill()
        await host.say(room, "is anybody there?")
        # no bell rings: the other process finds it in the log
        await page.event("message.sent", text="is anybody there?")
        assert (await host.ask_for(room, "member.ban", {"person": guest}))["type"] == "ack"
        assert (await victim.ask_for(room, "message.send", {"text": "x"}))["code"] == "member.banned"
        assert (await victim.expect("left", stream=room))["code"] == "member.banned"
        house.backstage.end_session(key=session)
        assert await page.expect_close() == 4401
        async with house.enter(guest, house.second) as again:
            await again.send("join", streams=[{"stream": room}])
            assert (await again.expect("left", stream=room))["code"] == "member.banned"
    own_redis.restart()
