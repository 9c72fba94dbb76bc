"""The hub by itself: ranges in any order, holes, pruning, restores, sockets that come and go meanwhile."""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from channels.layers import InMemoryChannelLayer

from chat.log.batch import Committed
from chat.log.visibility import Viewer
from chat.realtime import fanout, log_lane, watch
from chat.realtime import hub as hub_module
from chat.realtime.closing import CloseCode
from chat.realtime.frame import Frame
from chat.realtime.hub import Hub
from chat.realtime.layer import Layer
from tests.chat.fakes import PERSON, FakeLog, FakeSocket, follow, until


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
async def hub(log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr(watch, "TICK_EACH", 0.0)
    monkeypatch.setattr(log_lane, "TICK", 0.0)
    monkeypatch.setattr(fanout, "REST", -1.0)
    monkeypatch.setattr(log_lane, "HOLE_PATIENCE", 0.001)
    monkeypatch.setattr(hub_module, "UNSUBSCRIBE_AFTER", 0.0)
    made = Hub(Layer(InMemoryChannelLayer()), log)  # type: ignore[arg-type]
    yield made
    await made.stop()


async def come(hub: Hub, log: FakeLog, person: UUID | None = None) -> FakeSocket:
    socket = FakeSocket(person)
    follower = await follow(hub, socket, log.stream)  # type: ignore[arg-type]
    follower.release(log.seq, Viewer(person))
    return socket


def assert_whole(socket: FakeSocket, after: int, upto: int) -> None:
    seen = [n for n in range(after + 1, upto + 1) if n % 5 or socket.person_id == PERSON]
    assert socket.seqs == seen
    assert [first for first, _ in socket.ranges] == [after + 1, *(last + 1 for _, last in socket.ranges[:-1])]


@pytest.mark.parametrize("seed", range(12))
async def test_late_repeated_lost_and_shuffled_doorbells_make_one_unbroken_log(
    hub: Hub, log: FakeLog, seed: int
):
    dice = random.Random(seed)
    sockets = [await come(hub, log), await come(hub, log, PERSON)]
    rung = [c for c in (log.commit(dice.randint(1, 4)) for _ in range(60)) if dice.random() > 0.3]
    rung += [c for c in rung if dice.random() < 0.2]
    rung.sort(key=lambda c: c.first + dice.uniform(0, 12))
    for committed in rung:
        hub.deliver(committed)
        if dice.random() < 0.3:
            await asyncio.sleep(0)
    # the beacon comes again and again; one that meets a hole being filled leaves it to the next
    async with asyncio.timeout(20):
        while not all(s.ranges and s.ranges[-1][1] == log.seq for s in sockets):
            await hub.beacon_once()
            hub.flush()
            await asyncio.sleep(0)
    for socket in sockets:
        assert_whole(socket, 0, log.seq)
        await socket.end()


@pytest.mark.parametrize("seed", range(8))
async def test_a_socket_that_comes_in_the_middle_gets_the_rest_and_nothing_twice(
    hub: Hub, log: FakeLog, seed: int
):
    dice = random.Random(seed)
    first = await come(hub, log)
    hub.deliver(log.commit(3))
    held_back = [log.commit(dice.randint(1, 3)) for _ in range(4)]
    late = FakeSocket()
    joining = asyncio.ensure_future(follow(hub, late, log.stream))  # type: ignore[arg-type]
    for committed in held_back[:2]:
        hub.deliver(committed)
        await asyncio.sleep(0)
    follower = await joining
    # the log is read now: all of it is there, though not all of it has been heard
    known = log.seq
    if dice.random() < 0.5:
        hub.deliver(held_back[2])
    follower.release(known, Viewer(None))
    # one doorbell carries what the newcomer has and what it has not
    both = Committed(
        log.stream, 1, held_back[3].first, log.seq + 2, (*held_back[3].events, *log.commit(2).events)
    )
    hub.deliver(held_back[2])
    hub.deliver(both)
    hub.flush()
    await until(lambda: late.ranges and late.ranges[-1][1] == log.seq and first.ranges[-1][1] == log.seq)
    assert_whole(late, known, log.seq)
    assert_whole(first, 0, log.seq)
    for socket in (first, late):
        await socket.end()


async def test_a_doorbell_that_overlaps_what_was_heard_adds_what_is_new(hub: Hub, log: FakeLog):
    socket = await come(hub, log)
    first = log.commit(3)
    hub.deliver(first)
    more = log.commit(2)
    hub.deliver(Committed(log.stream, 1, 2, log.seq, (*first.events[1:], *more.events)))
    hub.deliver(first)
    await until(lambda: socket.ranges and socket.ranges[-1][1] == log.seq)
    assert_whole(socket, 0, log.seq)
    await socket.end()


async def test_a_hole_of_many_pages_is_filled_and_one_that_is_too_large_is_not(hub: Hub, log: FakeLog):
    socket = await come(hub, log)
    log.commit(1_700)
    hub.deliver(log.commit())
    await until(lambda: socket.ranges and socket.ranges[-1][1] == log.seq)
    assert_whole(socket, 0, log.seq)
    assert socket.rejoined == 0

    log.commit(log_lane.HOLE_LIMIT + 1)
    hub.deliver(log.commit())
    await until(lambda: socket.rejoined)
    assert hub.position_of(log.stream) == log.seq
    await socket.end()


async def test_what_was_pruned_before_it_was_heard_brings_a_snapshot(hub: Hub, log: FakeLog):
    socket = await come(hub, log)
    log.commit(10)
    log.floor = 8
    hub.deliver(log.commit())
    await until(lambda: socket.rejoined)
    assert socket.seqs == []
    log.floor = log.commit(5).last
    await hub.beacon_once()
    assert socket.rejoined == 2
    await socket.end()


async def test_after_a_restore_old_numbers_are_forgotten_and_old_news_ignored(hub: Hub, log: FakeLog):
    socket = await come(hub, log)
    hub.deliver(log.commit(9))
    stale = log.commit(1)
    log.seq, log.epoch = 4, 2
    hub.deliver(log.commit(1))
    await until(lambda: socket.rejoined)
    assert hub.position_of(log.stream) == 5
    hub.deliver(stale)
    assert hub.position_of(log.stream) == 5
    log.epoch = 3
    await hub.beacon_once()
    assert socket.rejoined == 2
    await socket.end()


async def test_a_socket_that_goes_while_it_comes_leaves_nothing_behind(hub: Hub, log: FakeLog):
    log.gate.clear()
    gone, stays = FakeSocket(), FakeSocket()
    first = asyncio.ensure_future(follow(hub, gone, log.stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    hub.unfollow(gone, log.stream)  # type: ignore[arg-type]
    # the stream is opened anew while it is still being opened
    second = asyncio.ensure_future(follow(hub, stays, log.stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    log.gate.set()
    left, here = await first, await second
    assert not hub.follows(left)
    assert hub.follows(here)
    here.release(log.seq, Viewer(None))
    hub.deliver(log.commit())
    await until(lambda: stays.seqs == [1])
    assert gone.sent == []
    hub.unfollow(stays, log.stream)  # type: ignore[arg-type]
    assert hub._watches == {}
    for socket in (gone, stays):
        await socket.end()


async def test_a_log_that_cannot_be_read_is_said_and_the_next_try_works(hub: Hub, log: FakeLog):
    log.fails = 1
    socket = FakeSocket()
    with pytest.raises(Exception, match="unavailable"):
        await follow(hub, socket, log.stream)  # type: ignore[arg-type]
    assert hub._watches == {}
    assert hub.follows(await follow(hub, socket, log.stream))  # type: ignore[arg-type]
    await socket.end()


async def test_closed_sockets_are_forgotten(hub: Hub, log: FakeLog):
    sockets = [await come(hub, log, PERSON) for _ in range(20)]
    for socket in sockets:
        hub.add_person(PERSON, socket)  # type: ignore[arg-type]
    references = [weakref.ref(s) for s in sockets]
    for socket in sockets:
        hub.unfollow(socket, log.stream)  # type: ignore[arg-type]
        hub.drop_person(PERSON, socket)  # type: ignore[arg-type]
        await socket.end()
    await asyncio.sleep(0.01)
    del sockets, socket
    import gc

    gc.collect()
    assert [r() for r in references if r() is not None] == []
    assert (hub._watches, hub._people) == ({}, {})


async def test_a_joining_socket_does_not_wait_for_a_layer_that_hangs(log: FakeLog):
    class Hanging:
        async def new_channel(self) -> str:
            await asyncio.Event().wait()
            return ""

    hub = Hub(Layer(Hanging()), log)  # type: ignore[arg-type]
    hub.start()
    hub_module_patience = hub_module.SUBSCRIBE_PATIENCE
    hub_module.SUBSCRIBE_PATIENCE = 0.01
    try:
        socket = await come(hub, log)
        hub.deliver(log.commit())
        await until(lambda: socket.seqs)
        assert socket.seqs == [1]
        await socket.end()
    finally:
        hub_module.SUBSCRIBE_PATIENCE = hub_module_patience
        for task in list(hub._tasks):
            task.cancel()
        await asyncio.gather(*hub._tasks, return_exceptions=True)


async def test_a_writer_that_breaks_costs_its_own_socket_only(hub: Hub, log: FakeLog):
    class Broken:
        aborted = False

        def write(self, frame: Frame) -> bool:
            raise AttributeError("a name of the server that is not there any more")

        async def close(self, code: int, reason: str) -> None:
            raise AttributeError

        def abort(self) -> None:
            self.aborted = True

        def end(self) -> None:
            pass

    sockets = [await come(hub, log) for _ in range(3)]
    broken = Broken()
    sockets[1].outbox._writer, sockets[1].outbox.at_once = broken, broken
    hub.deliver(log.commit(3))
    await until(lambda: sockets[2].seqs and broken.aborted)
    assert sockets[1].outbox.closing == CloseCode.BUSY
    hub.deliver(log.commit(2))
    hub.flush()
    await until(lambda: sockets[2].ranges[-1][1] == log.seq)
    for socket in (sockets[0], sockets[2]):
        assert_whole(socket, 0, log.seq)
    for socket in sockets:
        await socket.end()


async def test_a_long_fan_out_lets_others_run_and_keeps_the_order(
    hub: Hub, log: FakeLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fanout, "SLICE", 2)
    sockets = [await come(hub, log) for _ in range(9)]
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(other())
    await asyncio.sleep(0)
    before = ran
    hub.deliver(log.commit(3))
    # while the first is on its way more come, and somebody leaves whom it has not reached
    assert [bool(s.outbox._writer._frame) for s in sockets].count(True) == 2
    hub.deliver(log.commit(4))
    hub.unfollow(sockets[8], log.stream)  # type: ignore[arg-type]
    await until(lambda: sockets[7].ranges and sockets[7].ranges[-1][1] == log.seq)
    assert ran - before >= 4
    await until(lambda: all(s.ranges[-1][1] == log.seq for s in sockets[:8]))
    for socket in sockets[:8]:
        assert_whole(socket, 0, log.seq)
    assert sockets[8].sent == []
    beside.cancel()
    for socket in sockets:
        await socket.end()
