"""The channel layer as a doorbell: what is rung at once travels together, and rings where it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from chat.realtime import layer as layers
from chat.realtime.layer import PEOPLE, Layer
from tests import services


class House:
    """One process's end of the layer, and what was sent and heard there."""

    def __init__(self, backend: Any) -> None:
        self.layer = Layer(backend)
        self.heard: list[bytes] = []
        self.sent: list[str] = []
        send = backend.group_send

        async def seen(group: str, message: dict[str, Any]) -> None:
            self.sent.append(group)
            await send(group, message)

        backend.group_send = seen
        self.running = asyncio.ensure_future(self.layer.run(self.heard.append))

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < count:  # noqa: ASYNC110 - another connection fills it
                await asyncio.sleep(0.005)


@pytest.fixture(params=[RedisChannelLayer, RedisPubSubChannelLayer])
async def houses(
    request: pytest.FixtureRequest, redis_server: services.RedisService
) -> AsyncIterator[tuple[House, House]]:
    made = House(request.param(hosts=[redis_server.url])), House(request.param(hosts=[redis_server.url]))
    for house in made:
        await house.layer.add(PEOPLE)
    yield made
    for house in made:
        house.running.cancel()
        await asyncio.gather(house.running, return_exceptions=True)
        await house.layer.close()


def streams(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


async def test_one_ring_goes_to_those_who_watch(houses: tuple[House, House]) -> None:
    here, there = houses
    watched, other = streams(2)
    await there.layer.add(watched)
    here.layer.post(other, lambda: b"not yours")
    here.layer.post(watched, lambda: b"yours")
    await there.hears(1)
    assert there.heard == [b"yours"]
    assert here.sent == [layers.group_name(other), layers.group_name(watched)]


async def test_what_waits_for_one_stream_leaves_in_one_message(houses: tuple[House, House]) -> None:
    here, there = houses
    (watched,) = streams(1)
    await there.layer.add(watched)
    for i in range(50):
        here.layer.post(watched, lambda i=i: b"%d" % i)  # type: ignore[misc]
    await there.hears(50)
    assert there.heard == [b"%d" % i for i in range(50)]
    assert here.sent == [layers.group_name(watched)]


async def test_many_streams_travel_together_and_nobody_hears_another_s(houses: tuple[House, House]) -> None:
    here, there = houses
    many = streams(40)
    for stream in many[::2]:
        await there.layer.add(stream)
    await here.layer.add(many[1])
    for i, stream in enumerate(many):
        here.layer.post(stream, lambda i=i: b"%d" % i)  # type: ignore[misc]
    here.layer.post(PEOPLE, lambda: b"all")
    await there.hears(21)
    await here.hears(2)
    assert there.heard == [*(b"%d" % i for i in range(0, 40, 2)), b"all"]
    assert here.heard == [b"1", b"all"]
    assert here.sent == [layers.group_name(PEOPLE)]


async def test_a_stream_that_was_left_is_not_heard_in_the_crowd(houses: tuple[House, House]) -> None:
    here, there = houses
    many = streams(8)
    for stream in many:
        await there.layer.add(stream)
    await there.layer.discard(many[0])
    for i, stream in enumerate(many):
        here.layer.post(stream, lambda i=i: b"%d" % i)  # type: ignore[misc]
    await there.hears(7)
    assert there.heard == [b"%d" % i for i in range(1, 8)]


async def test_messages_are_bounded(houses: tuple[House, House]) -> None:
    here, there = houses
    (watched,) = streams(1)
    await there.layer.add(watched)
    each = layers.TOGETHER_BYTES // 4
    for _ in range(12):
        here.layer.post(watched, lambda: b"x" * each)
    await there.hears(12)
    assert len(here.sent) == 3


class Backend:
    """A layer that says who rings next when it has carried the last."""

    def __init__(self) -> None:
        self.carried: list[Any] = []
        self.after = lambda: None

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.carried.append(message)
        self.after()


@pytest.mark.parametrize(("at_once", "waits"), [(1, 1), (2, 20)])
async def test_it_waits_for_more_only_where_more_comes(
    monkeypatch: pytest.MonkeyPatch, at_once: int, waits: int
) -> None:
    """Who says the next thing when the last was heard is held up once, and not every time."""
    monkeypatch.setattr(layers, "NO_LINGER", 3_600.0)
    lingered, sleep, (stream,) = 0, asyncio.sleep, streams(1)

    async def counted(seconds: float) -> None:
        nonlocal lingered
        lingered += seconds == layers.LINGER
        await sleep(0)

    monkeypatch.setattr(layers.asyncio, "sleep", counted)
    backend = Backend()
    layer, done = Layer(backend), asyncio.Event()

    def ring() -> None:
        if len(backend.carried) == 20:
            done.set()
            return
        for _ in range(at_once):
            layer.post(stream, lambda: b"next")

    backend.after = ring
    layer.post(stream, lambda: b"first")
    sending = asyncio.ensure_future(layer._send())
    async with asyncio.timeout(20):
        await done.wait()
    sending.cancel()
    assert lingered == waits


async def test_what_the_layer_refuses_is_counted_one_by_one(houses: tuple[House, House]) -> None:
    here, there = houses
    (watched,) = streams(1)
    await there.layer.add(watched)

    async def refuse(group: str, message: dict[str, Any]) -> None:
        raise ConnectionError

    backend, send = here.layer._layer, here.layer._layer.group_send
    backend.group_send = refuse
    for _ in range(3):
        here.layer.post(watched, lambda: b"lost")
    async with asyncio.timeout(20):
        while not here.layer.idle:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert (here.layer.dropped, here.layer.down) == (3, True)
    backend.group_send = send
    here.layer.post(watched, lambda: b"heard")
    await there.hears(1)
    assert there.heard == [b"heard"]


async def test_what_nobody_can_follow_makes_no_process_deaf(houses: tuple[House, House]) -> None:
    here, there = houses
    (watched,) = streams(1)
    await there.layer.add(watched)
    group, heard = layers.group_name(watched), there.heard.append

    def choke(data: bytes) -> None:
        heard(data)
        if data == b"odd":
            raise ValueError

    there.running.cancel()
    there.running = asyncio.ensure_future(there.layer.run(choke))
    for odd in (
        {"type": "livesale.doorbell"},
        {"type": "livesale.doorbells", "rung": [[group, b"with more", 3], ["of another", b"not yours"]]},
        {"type": "livesale.doorbell", "data": b"odd"},
        {"type": "livesale.doorbell", "data": b"good"},
    ):
        await here.layer._layer.group_send(group, odd)
    await there.hears(3)
    assert there.heard == [b"with more", b"odd", b"good"]
