"""The hub by itself: ranges in any order, holes, pruning, restores, sockets that come and go meanwhile."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import random
import weakref
from collections.abc import AsyncIterator
from socket import socketpair
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.layers import InMemoryChannelLayer

from chat.log import reading
from chat.log.batch import Committed, CommittedEvent
from chat.log.models import Audience
from chat.log.transaction import encode_event
from chat.log.visibility import Viewer
from chat.realtime import fanout, log_lane, watch
from chat.realtime import hub as hub_module
from chat.realtime import outbox as outbox_module
from chat.realtime.closing import CloseCode
from chat.realtime.frame import Frame
from chat.realtime.hub import Hub
from chat.realtime.layer import Layer
from chat.realtime.outbox import Backlog, Outbox
from chat.realtime.watch import Follower
from chat.realtime.writers import AsgiWriter
from chat.realtime.writers.uvicorn import UvicornWriter

PERSON = UUID(int=5)


class FakeLog:
    """The log behind the readers, without a database: public events, every fifth for one person."""

    def __init__(self) -> None:
        self.stream = uuid4()
        self.seq = self.floor = 0
        self.epoch = 1
        self.reads = 0
        self.fails = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def event(self, seq: int) -> CommittedEvent:
        private = seq % 5 == 0
        return CommittedEvent(
            seq,
            "fake",
            Audience.PERSON if private else Audience.PUBLIC,
            PERSON if private else None,
            encode_event(seq, "fake", 0, {"n": seq}),
        )

    def commit(self, count: int = 1) -> Committed:
        first, self.seq = self.seq + 1, self.seq + count
        events = tuple(self.event(n) for n in range(first, self.seq + 1))
        return Committed(self.stream, self.epoch, first, self.seq, events)

    async def run(self, function, *args):
        """As `Readers.run`."""
        self.reads += 1
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the database is away")
        if function is reading.positions:
            return {self.stream: reading.Position("room", None, self.seq, self.floor, self.epoch)}
        if function is reading.events_after:
            _, after, upto = args
            await asyncio.sleep(0)
            return [self.event(n) for n in range(max(after, self.floor) + 1, upto + 1)][:500]
        if function is hub_module.heads_and_values:
            return await self.run(reading.positions), {}
        raise AssertionError(function)


def outbox_to(send: Any) -> Outbox:
    outbox = Outbox(Backlog(), lambda: None)
    outbox.open(AsgiWriter(send, outbox.drain))
    return outbox


class FakeSocket:
    def __init__(self, person_id: UUID | None = None) -> None:
        self.person_id = person_id
        self.sent: list[dict] = []
        self.rejoined = 0
        self.outbox = outbox_to(self._take)

    async def _take(self, message: dict) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(json.loads(message["text"]))

    def rejoin(self, stream_id: UUID) -> None:
        self.rejoined += 1

    def put_out(self, stream_id: UUID, code: str) -> None:
        raise AssertionError("nobody is put out here")

    async def end(self) -> None:
        self.outbox.end()
        await asyncio.sleep(0)

    @property
    def seqs(self) -> list[int]:
        return [e["seq"] for f in self.sent if f["type"] == "events" for e in f["events"]]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [(f["first"], f["last"]) for f in self.sent if f["type"] == "events"]


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


async def follow(hub: Hub, socket: Any, stream_id: UUID) -> Follower:
    """As a socket does: begin, and wait until the stream is watched."""
    follower = hub.begin(socket, stream_id)
    await hub.opened(follower)
    return follower


async def come(hub: Hub, log: FakeLog, person: UUID | None = None) -> FakeSocket:
    socket = FakeSocket(person)
    follower = await follow(hub, socket, log.stream)  # type: ignore[arg-type]
    follower.release(log.seq, Viewer(person))
    return socket


async def until(true) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - any of many things
            await asyncio.sleep(0)


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


# --- what waits for one socket --------------------------------------------------------------------------------------


async def test_latest_values_of_a_slow_reader_are_merged_and_stay_few():
    sent: list[dict] = []
    gate = asyncio.Event()

    async def slow(message: dict) -> None:
        await gate.wait()
        sent.append(message)

    outbox = outbox_to(slow)
    outbox.put(Frame(b"first"))
    await asyncio.sleep(0)
    stream = uuid4()
    names = ["a", "b", "c", "d"]
    shared = Frame(b"shared")
    for version, some in enumerate(
        itertools.chain(*(itertools.combinations(names, n) for n in (1, 2, 3, 4))), 1
    ):
        outbox.put_values(stream, shared, dict.fromkeys(some, (version, version)))
    gate.set()
    await until(lambda: len(sent) == 2)
    values = json.loads(sent[1]["text"])["values"]
    assert values == {"a": [15, 15], "b": [15, 15], "c": [15, 15], "d": [15, 15]}
    outbox.put_values(stream, shared, {"a": (16, 16)})
    await until(lambda: len(sent) == 3)
    # nothing waited: the frame that everybody gets is the one that leaves
    assert sent[2]["text"] == "shared"
    outbox.end()


async def test_the_log_lane_is_full_or_whole_never_thinned():
    sent: list[dict] = []
    gate = asyncio.Event()

    async def slow(message: dict) -> None:
        await gate.wait()
        sent.append(message)

    outbox = outbox_to(slow)
    for n in range(40):
        outbox.put(Frame(b"%d" % n + b"x" * 7_000))
    assert outbox.closing == CloseCode.SLOW
    outbox.put(Frame(b"late"))
    assert outbox.waiting == 0
    gate.set()
    await until(lambda: sent and sent[-1]["type"] == "websocket.close")
    # the one that was being sent, and nothing after a gap
    assert [m["type"] for m in sent] == ["websocket.send", "websocket.close"]
    assert sent[1]["code"] == 4000
    outbox.end()


class Full:
    """A writer whose server holds so many bytes that it takes nothing more."""

    def __init__(self) -> None:
        self.left = 100_000

    def write(self, frame: Frame) -> bool:
        return False

    def buffered(self) -> int:
        return self.left

    async def close(self, code: int, reason: str) -> None:
        pass

    def abort(self) -> None:
        pass

    def end(self) -> None:
        pass


async def test_who_reads_slowly_but_steadily_is_not_given_up(monkeypatch: pytest.MonkeyPatch):
    now = 1_000.0
    monkeypatch.setattr(outbox_module, "time", SimpleNamespace(monotonic=lambda: now))
    outbox, writer = Outbox(Backlog(), lambda: None), Full()
    outbox.open(writer)
    outbox.put(Frame(b"waits"))
    for _ in range(20):
        now += 4.0
        writer.left -= 1_000
        outbox.drain()
        assert outbox.closing is None
    now += 4.0
    outbox.drain()
    assert outbox.closing is None
    now += 4.0
    outbox.drain()
    assert outbox.closing == CloseCode.SLOW
    outbox.end()


async def test_one_frame_may_be_large_and_the_next_is_waited_with():
    outbox, writer = Outbox(Backlog(), lambda: None), Full()
    outbox.open(writer)
    await outbox.room()
    outbox.put(Frame(b"x" * 400_000))
    assert outbox.closing is None
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    outbox.put(Frame(b"y"))
    assert outbox.closing == CloseCode.SLOW
    await waiting
    outbox.end()


@pytest.mark.parametrize("kind", ["no room", "gone"])
async def test_a_write_that_fails_loses_no_frame_in_the_middle(kind: str):
    code = errno.ENOBUFS if kind == "no room" else errno.ECONNRESET
    taken: list[bytes] = []
    aborted: list[bool] = []

    def send(data: bytes) -> int:
        if len(taken) == 1:
            raise OSError(code, kind)
        taken.append(data)
        return len(data)

    transport = SimpleNamespace(
        is_closing=lambda: bool(aborted),
        get_write_buffer_size=lambda: sum(map(len, taken[1:])),
        write=taken.append,
        abort=lambda: aborted.append(True),
    )
    outbox = Outbox(Backlog(), lambda: None)
    ours, theirs = socketpair()
    writer = UvicornWriter(SimpleNamespace(transport=transport, close_sent=False), ours.fileno())  # type: ignore[arg-type]
    writer._send = send  # type: ignore[method-assign, assignment]
    outbox.open(writer)
    for n in range(3):
        outbox.put(Frame(b"%d" % n))
    if kind == "no room":
        assert taken == [Frame(b"0").wire, Frame(b"1").wire]
        assert outbox.waiting == len(Frame(b"2"))
    else:
        assert aborted == [True]
        assert taken == [Frame(b"0").wire]
    outbox.end()
    # the descriptor is the transport's: whoever ends leaves it open
    assert theirs.send(b"x") == 1
    assert ours.recv(1) == b"x"
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("flush", "texts"), [(True, ["a", "b", "bye"]), (False, ["a", "bye"])])
async def test_a_close_lets_what_waits_leave_first_where_that_is_asked(flush: bool, texts: list[str]):
    sent: list[dict] = []

    async def take(message: dict) -> None:
        sent.append(message)

    outbox = outbox_to(take)
    outbox.put(Frame(b"a"))
    outbox.put(Frame(b"b"))
    outbox.close(CloseCode.GOING_AWAY, Frame(b"bye"), flush=flush)
    await until(lambda: sent and sent[-1]["type"] == "websocket.close")
    assert [m.get("text", m.get("code")) for m in sent] == [*texts, 4001]
    outbox.end()


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
