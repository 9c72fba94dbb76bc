"""The hub of a process: what was committed, here or elsewhere, reaches the sockets that follow the stream.

The channel layer is a doorbell that may ring late, twice or not at all. The hub knows the last `seq` it has handed
out per stream; a hole is filled from the log, and the beacon finds what never rang.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
from django.db import Error

from chat.log import reading, registry
from chat.log.batch import Committed, CommittedEvent, Outcome
from chat.log.errors import Refused
from chat.log.models import Audience
from chat.log.visibility import Viewer, visible
from chat.realtime import protocol
from chat.realtime.layer import PEOPLE, Layer
from chat.realtime.readers import Readers

if TYPE_CHECKING:
    from chat.realtime.consumer import Socket

logger = logging.getLogger(__name__)

# The first event after quiet leaves at once; what comes within this many seconds leaves in one frame.
TICK = 0.03
SIGNAL_TICK = 0.2
# How long a hole may wait for its late doorbell before the log is asked, in seconds.
HOLE_PATIENCE = 0.05
# A hole larger than this is not filled: followers get a fresh snapshot, which is smaller.
HOLE_LIMIT = 4 * reading.REPLAY_LIMIT
# Ranges that may wait behind a hole; what comes on top is read from the log later.
EARLY_LIMIT = 1_000
BEACON = 3.0
# While the channel layer is down, the beacon is what carries news between processes.
BEACON_ALONE = 1.0
# A joining socket waits this long for the channel layer, in seconds; the log and the beacon do without it.
SUBSCRIBE_PATIENCE = 1.0
# A stream that nobody follows any more stays subscribed for this long: people reload pages.
UNSUBSCRIBE_AFTER = 5.0
# Passing signals (typing, reactions) of one stream that leave per tick; more are dropped.
PASSING_LIMIT = 100
# A process's viewer counts are forgotten when it has not repeated them for this long, in seconds.
VIEWERS_EXPIRE = 12.0


class _Doorbell(msgspec.Struct, tag_field="t", tag="batch", array_like=True):
    stream: UUID
    epoch: int
    first: int
    last: int
    events: list[tuple[int, str, int, UUID | None, bytes, UUID | None]]


class _Signals(msgspec.Struct, tag_field="t", tag="signals", array_like=True):
    stream: UUID
    values: dict[str, tuple[int, Any]]


class _Viewers(msgspec.Struct, tag_field="t", tag="viewers", array_like=True):
    process: str
    counts: dict[str, int]


class _People(msgspec.Struct, tag_field="t", tag="people", array_like=True):
    ring: list[UUID]
    revoke: list[UUID]


class _Tell(msgspec.Struct, tag_field="t", tag="tell", array_like=True):
    stream: UUID
    name: str
    person: UUID | None
    value: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Doorbell | _Signals | _Viewers | _People | _Tell)


@dataclass(slots=True, frozen=True)
class Chunk:
    """A range of a stream's log that leaves in one go."""

    first: int
    last: int
    events: list[CommittedEvent]

    def frame(self, watch: Watch, viewer: Viewer, after: int = 0) -> str:
        """The part of it beyond `after` that this viewer may see, as a frame."""
        seen = [e.wire for e in self.events if e.seq > after and visible(e.audience, e.person_id, viewer)]
        return protocol.events_frame(
            watch.stream_id, watch.epoch, max(self.first, after + 1), self.last, seen
        )


@dataclass(eq=False, slots=True)
class Follower:
    """One socket's place in one stream.

    While `held` is a list, what is committed waits in it until replay or snapshot are queued. `seq` is the last
    number that has been queued: nothing is sent twice, whichever of log and doorbell was faster.
    """

    socket: Socket
    watch: Watch
    viewer: Viewer
    seq: int = 0
    held: list[Chunk] | None = field(default_factory=list)

    def deliver(self, chunk: Chunk, frame: str) -> None:
        if self.held is not None:
            self.held.append(chunk)
        elif chunk.first > self.seq:
            self.socket.outbox.put(frame)
            self.seq = chunk.last
        elif chunk.last > self.seq:
            self.socket.outbox.put(chunk.frame(self.watch, self.viewer, self.seq))
            self.seq = chunk.last

    def release(self, seq: int, viewer: Viewer) -> None:
        """What the client needed up to `seq` has been queued: what waited and goes beyond it follows."""
        held, self.held = self.held or [], None
        self.seq, self.viewer = seq, viewer
        for chunk in held:
            if chunk.last > self.seq:
                self.socket.outbox.put(chunk.frame(self.watch, viewer, self.seq))
                self.seq = chunk.last


@dataclass(eq=False, slots=True)
class Watch:
    """A stream that somebody here follows."""

    stream_id: UUID
    followers: dict[Socket, Follower] = field(default_factory=dict)
    # -1 until the head has been read once
    position: int = -1
    epoch: int = 0
    early: list[Committed] = field(default_factory=list)
    pending: list[CommittedEvent] = field(default_factory=list)
    pending_first: int = 0
    flushed_at: float = 0.0
    flush_planned: bool = False
    filling: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False
    values: dict[str, tuple[int, Any]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    passing: set[str] = field(default_factory=set)
    values_sent_at: float = 0.0
    values_planned: bool = False
    remote_viewers: dict[str, tuple[int, float]] = field(default_factory=dict)
    announced_viewers: int = -1
    viewers_version: int = 0


class Hub:
    """All watched streams of this process. Lives on the event loop; other threads use `hear`."""

    def __init__(self, layer: Layer, readers: Readers) -> None:
        self._layer = layer
        self._readers = readers
        self._loop = asyncio.get_running_loop()
        self._watches: dict[UUID, Watch] = {}
        self._people: dict[UUID, set[Socket]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.process = uuid4().hex
        self.repair = True
        self.filled = 0
        self.beacon_rounds = 0

    def start(self) -> None:
        self.spawn(self._layer.run(self._heard))
        self.spawn(self._layer.add(PEOPLE))
        self.spawn(self._beacon())
        self.spawn(self._renewal())

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._layer.close()

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the hub ended", exc_info=task.exception())

    # --- what this process has committed ------------------------------------------------------------------------

    def hear(self, outcome: Outcome) -> None:
        """Take what a transaction of this process has left; from any thread."""
        if outcome.committed or outcome.signals or outcome.doorbells:
            try:
                self._loop.call_soon_threadsafe(self._publish, outcome)
            except RuntimeError:
                # the loop has ended; other processes find the news in the log
                logger.info("a batch was committed after the last socket had gone")

    async def say_all(self, seconds: float) -> None:
        """Wait until the other processes have been told, no longer than that."""
        until = time.monotonic() + seconds
        while not (self._layer.idle or self._layer.down) and time.monotonic() < until:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.01)

    def _publish(self, outcome: Outcome) -> None:
        for committed in outcome.committed:
            self.deliver(committed)
            self._layer.post(committed.stream_id, partial(_encode_batch, committed))
        by_stream: dict[UUID, dict[str, tuple[int, Any]]] = {}
        for s in outcome.signals:
            by_stream.setdefault(s.stream_id, {})[s.key] = (s.version, s.value)
        for stream_id, values in by_stream.items():
            self._signals(stream_id, values)
            self._layer.post(stream_id, partial(_encoder.encode, _Signals(stream_id, values)))
        if outcome.doorbells:
            self.ring(outcome.doorbells)
            people = list(outcome.doorbells)
            self._layer.post(PEOPLE, lambda: _encoder.encode(_People(people, [])))

    def _heard(self, data: bytes) -> None:
        """A message of the channel layer: nothing in it is trusted to be new, complete or in order."""
        try:
            message = _decoder.decode(data)
        except msgspec.DecodeError:
            logger.warning("a message of the channel layer could not be read")
            return
        match message:
            case _Doorbell():
                self.deliver(
                    Committed(
                        message.stream,
                        message.epoch,
                        message.first,
                        message.last,
                        tuple(CommittedEvent(*e) for e in message.events),
                    )
                )
            case _Signals():
                self._signals(message.stream, message.values)
            case _Viewers():
                self._remote_viewers(message)
            case _People():
                self.ring(message.ring)
                for person_id in message.revoke:
                    self.recheck_person(person_id)
            case _Tell():
                self._told(message)

    # --- the log lane -------------------------------------------------------------------------------------------

    def deliver(self, committed: Committed) -> None:
        """Hand out a committed range in order: drop what is known, wait for what is missing."""
        watch = self._watches.get(committed.stream_id)
        if watch is None:
            return
        if watch.position >= 0 and committed.epoch != watch.epoch:
            if committed.epoch > watch.epoch:
                # a backup was restored: numbers mean something else now
                self.spawn(self._compare(watch))
            return
        if watch.position < 0 or committed.first > watch.position + 1:
            if len(watch.early) < EARLY_LIMIT:
                watch.early.append(committed)
            if watch.position >= 0:
                self._loop.call_later(HOLE_PATIENCE, self._fill, watch)
            return
        self._append(watch, committed)
        self._drain_early(watch)

    def _append(self, watch: Watch, committed: Committed) -> None:
        if committed.last <= watch.position:
            return
        new = [e for e in committed.events if e.seq > watch.position]
        if not watch.pending:
            watch.pending_first = watch.position + 1
        watch.pending.extend(new)
        watch.position = committed.last
        self._plan_flush(watch)

    def _drain_early(self, watch: Watch) -> None:
        while watch.early:
            watch.early.sort(key=lambda c: c.first)
            nearest = watch.early[0]
            if nearest.first > watch.position + 1:
                return
            watch.early.pop(0)
            self._append(watch, nearest)

    def _plan_flush(self, watch: Watch) -> None:
        if watch.flush_planned:
            return
        wait = watch.flushed_at + TICK - time.monotonic()
        if wait <= 0:
            self._flush(watch)
        else:
            watch.flush_planned = True
            self._loop.call_later(wait, self._flush, watch)

    def _flush(self, watch: Watch) -> None:
        """Send what has gathered: one frame per audience, encoded once."""
        watch.flush_planned = False
        watch.flushed_at = time.monotonic()
        events, watch.pending = watch.pending, []
        if not events and watch.pending_first > watch.position:
            return
        chunk = Chunk(watch.pending_first, watch.position, events)
        watch.pending_first = watch.position + 1
        public = chunk.frame(watch, Viewer(None))
        frames: dict[Viewer, str] = {}
        named = {e.person_id for e in events if e.person_id is not None}
        private = any(e.audience != Audience.PUBLIC for e in events)
        for follower in watch.followers.values():
            viewer = follower.viewer
            if not private or not (viewer.staff or viewer.person_id in named):
                follower.deliver(chunk, public)
                continue
            own = frames.get(viewer)
            if own is None:
                own = frames[viewer] = chunk.frame(watch, viewer)
            follower.deliver(chunk, own)
        for e in events:
            spec = registry.EVENTS.get(e.kind)
            if spec is not None and spec.changes_access:
                self._recheck(watch, e.subject)

    def flush(self) -> None:
        """Send what waits for the next tick now."""
        for watch in self._watches.values():
            self._flush(watch)

    def _fill(self, watch: Watch) -> None:
        if watch.filling or not self.repair or self._watches.get(watch.stream_id) is not watch:
            return
        self._drain_early(watch)
        if watch.early:
            self.spawn(self._fill_hole(watch))

    async def _fill_hole(self, watch: Watch, upto: int = 0) -> None:
        """Read what is missing from the log."""
        if watch.filling:
            return
        watch.filling = True
        try:
            while True:
                goal = max([upto, *(c.last for c in watch.early)])
                if goal <= watch.position:
                    return
                after, epoch = watch.position, watch.epoch
                events = await self._readers.run(reading.events_after, watch.stream_id, after, goal)
                if watch.epoch != epoch or watch.position != after:
                    continue
                if not events or events[0].seq != after + 1 or goal - after > HOLE_LIMIT:
                    # pruned, or too much: only a snapshot helps
                    found = await self._readers.run(reading.positions, [watch.stream_id])
                    if watch.stream_id in found:
                        self._begin_anew(watch, found[watch.stream_id])
                    return
                self.filled += len(events)
                self._append(
                    watch, Committed(watch.stream_id, epoch, events[0].seq, events[-1].seq, tuple(events))
                )
                self._drain_early(watch)
        except Error as error:
            # the beacon tries again
            logger.warning("a hole could not be filled: %s", type(error).__name__)
        finally:
            watch.filling = False

    async def _compare(self, watch: Watch) -> None:
        """Look where the log stands, and make good what was not heard."""
        if not self.repair:
            return
        try:
            found = await self._readers.run(reading.positions, [watch.stream_id])
        except Error as error:
            logger.warning("the head of a stream could not be read: %s", type(error).__name__)
            return
        if watch.stream_id in found:
            await self._catch_up(watch, found[watch.stream_id])

    async def _catch_up(self, watch: Watch, head: reading.Position) -> None:
        if self._watches.get(watch.stream_id) is not watch or watch.position < 0:
            return
        if head.epoch > watch.epoch:
            self._begin_anew(watch, head)
        elif head.epoch == watch.epoch and head.seq > watch.position:
            await self._fill_hole(watch, head.seq)

    def _begin_anew(self, watch: Watch, head: reading.Position) -> None:
        """Forget where the stream stood: all who follow it get a fresh snapshot."""
        watch.epoch, watch.position = head.epoch, head.seq
        watch.early.clear()
        watch.pending.clear()
        watch.pending_first = head.seq + 1
        for follower in list(watch.followers.values()):
            follower.socket.rejoin(watch.stream_id)

    # --- following ----------------------------------------------------------------------------------------------

    def watches(self, stream_id: UUID) -> bool:
        """Whether somebody here follows the stream already."""
        watch = self._watches.get(stream_id)
        return watch is not None and watch.position >= 0

    async def follow(self, socket: Socket, stream_id: UUID) -> Follower:
        """Begin to gather what is committed for a socket; a place that it has already begins anew.

        The caller reads access and replay afterwards, and releases. Raises `Refused` when the log cannot be read.
        """
        watch = self._watches.get(stream_id)
        if watch is None:
            watch = self._watches[stream_id] = Watch(stream_id)
            self.spawn(self._open(watch))
        follower = watch.followers[socket] = Follower(socket, watch, Viewer(None))
        await watch.ready.wait()
        if watch.failed:
            raise Refused("server.unavailable", temporary=True)
        self._count_viewers(watch)
        return follower

    def follows(self, follower: Follower) -> bool:
        """Whether this is still the socket's place in the stream."""
        watch = follower.watch
        return (
            self._watches.get(watch.stream_id) is watch and watch.followers.get(follower.socket) is follower
        )

    async def _open(self, watch: Watch) -> None:
        # subscribed first, read afterwards: what is committed in between is in one of the two
        subscribing = self.spawn(self._subscribe(watch))
        if not self._layer.down:
            await asyncio.wait({subscribing}, timeout=SUBSCRIBE_PATIENCE)
        try:
            found, latest = await self._readers.run(_heads_and_values, [watch.stream_id])
        except Exception as error:
            logger.warning("the head of a stream could not be read: %s", type(error).__name__)
            watch.failed = True
            if self._watches.get(watch.stream_id) is watch:
                del self._watches[watch.stream_id]
        else:
            if watch.stream_id in found:
                head = found[watch.stream_id]
                watch.position, watch.epoch = head.seq, head.epoch
                watch.pending_first = head.seq + 1
                watch.early = [c for c in watch.early if c.epoch == head.epoch]
                for key, value in latest.get(watch.stream_id, {}).items():
                    if key not in watch.values or watch.values[key][0] < value[0]:
                        watch.values[key] = value
                self._drain_early(watch)
                self._fill(watch)
        watch.ready.set()

    async def _subscribe(self, watch: Watch) -> None:
        await self._layer.add(watch.stream_id)
        if self._watches.get(watch.stream_id) is not watch:
            self._unsubscribe_later(watch.stream_id)
        elif watch.position >= 0:
            # the layer was slow: what rang before was not heard
            await self._compare(watch)

    def _unsubscribe_later(self, stream_id: UUID) -> None:
        self._loop.call_later(UNSUBSCRIBE_AFTER, lambda: self.spawn(self._unsubscribe(stream_id)))

    async def _unsubscribe(self, stream_id: UUID) -> None:
        if stream_id not in self._watches:
            await self._layer.discard(stream_id)
            if stream_id in self._watches:
                # somebody came while we left
                await self._layer.add(stream_id)

    def unfollow(self, socket: Socket, stream_id: UUID) -> None:
        watch = self._watches.get(stream_id)
        if watch is None or watch.followers.pop(socket, None) is None:
            return
        if not watch.followers:
            del self._watches[stream_id]
            self._unsubscribe_later(stream_id)
        else:
            self._count_viewers(watch)

    def position_of(self, stream_id: UUID) -> int:
        """The last `seq` handed out here; -1 for a stream that nobody here follows. For metrics and tests."""
        watch = self._watches.get(stream_id)
        return -1 if watch is None else watch.position

    # --- people -------------------------------------------------------------------------------------------------

    def add_person(self, person_id: UUID, socket: Socket) -> set[Socket]:
        sockets = self._people.setdefault(person_id, set())
        sockets.add(socket)
        return sockets

    def drop_person(self, person_id: UUID, socket: Socket) -> None:
        sockets = self._people.get(person_id)
        if sockets is not None:
            sockets.discard(socket)
            if not sockets:
                del self._people[person_id]

    def people(self) -> list[UUID]:
        return list(self._people)

    def sockets_of(self, person_id: UUID) -> list[Socket]:
        return list(self._people.get(person_id, ()))

    def ring(self, people: Iterable[UUID]) -> None:
        frame = protocol.encode(protocol.Panel(int(time.time() * 1000)))
        for person_id in people:
            for socket in self._people.get(person_id, ()):
                socket.outbox.put_latest("panel", frame)

    def revoke(self, person_id: UUID) -> None:
        """A person's session, password or account has changed: judge their sockets anew, on every process."""
        self.recheck_person(person_id)
        self._layer.post(PEOPLE, lambda: _encoder.encode(_People([], [person_id])))

    def recheck_person(self, person_id: UUID) -> None:
        for socket in self.sockets_of(person_id):
            self.spawn(socket.recheck_identity())

    def _recheck(self, watch: Watch, person_id: UUID | None) -> None:
        """Judge anew whether followers may still read: one person's, or everybody's."""
        if any(person_id is None or s.person_id == person_id for s in watch.followers):
            self.spawn(self._recheck_access(watch, person_id))

    async def _recheck_access(self, watch: Watch, person_id: UUID | None) -> None:
        if person_id is None:
            # what guests may read, nobody has lost; who was banned is named in an event of their own
            if (await self._may_read(watch, None)).read:
                return
            people = {s.person_id for s in watch.followers}
        else:
            people = {person_id}
        for person in people:
            verdict = await self._may_read(watch, person)
            for follower in [f for s, f in watch.followers.items() if s.person_id == person]:
                if not verdict.read:
                    follower.socket.put_out(watch.stream_id, verdict.reason)
                elif follower.held is not None or follower.viewer.staff != verdict.staff:
                    # another role sees other things: a fresh snapshot is the only right answer
                    follower.socket.rejoin(watch.stream_id)

    async def _may_read(self, watch: Watch, person_id: UUID | None) -> registry.Access:
        while True:
            try:
                found = await self._readers.run(reading.access, [watch.stream_id], person_id)
            except Error as error:
                # nobody stays in because the database was away
                logger.warning("access could not be judged: %s", type(error).__name__)
                await asyncio.sleep(0.5)
            else:
                return found[watch.stream_id]

    # --- the signal lane ----------------------------------------------------------------------------------------

    def _signals(self, stream_id: UUID, values: dict[str, tuple[int, Any]]) -> None:
        watch = self._watches.get(stream_id)
        if watch is None:
            return
        for key, value in values.items():
            old = watch.values.get(key)
            if old is None or old[0] < value[0]:
                watch.values[key] = value
                watch.dirty.add(key)
        if watch.dirty and not watch.values_planned:
            wait = watch.values_sent_at + SIGNAL_TICK - time.monotonic()
            watch.values_planned = True
            self._loop.call_later(max(wait, 0), self._send_values, watch)

    def _send_values(self, watch: Watch) -> None:
        watch.values_planned = False
        watch.values_sent_at = time.monotonic()
        if not watch.dirty:
            return
        values = {key: watch.values[key] for key in watch.dirty}
        frame = protocol.values_frame(watch.stream_id, values)
        for key in watch.dirty & watch.passing:
            # who types or claps is news for a moment only: nothing is kept for newcomers
            del watch.values[key]
        watch.passing.clear()
        watch.dirty.clear()
        for follower in watch.followers.values():
            if follower.held is None:
                follower.socket.outbox.put_values(watch.stream_id, frame, values)

    def send_values_to(self, follower: Follower, stream_id: UUID) -> None:
        """A newcomer gets every latest value known here, after the snapshot."""
        watch = self._watches.get(stream_id)
        if watch is not None and watch.values:
            follower.socket.outbox.put(protocol.values_frame(stream_id, watch.values))

    def tell(self, stream_id: UUID, name: str, person_id: UUID | None, value: str) -> None:
        """Pass a passing signal (typing, a reaction) to everyone in the stream, on every process."""
        message = _Tell(stream_id, name, person_id, value)
        self._told(message)
        self._layer.post(stream_id, lambda: _encoder.encode(message))

    def _told(self, message: _Tell) -> None:
        now = int(time.time() * 1000)
        key = f"{message.name}:{message.person or 'guest'}"
        watch = self._watches.get(message.stream)
        if watch is not None and len(watch.passing) < PASSING_LIMIT:
            watch.passing.add(key)
            self._signals(message.stream, {key: (now, message.value)})

    # --- viewers ------------------------------------------------------------------------------------------------

    def _count_viewers(self, watch: Watch) -> None:
        since = time.monotonic() - VIEWERS_EXPIRE
        for process in [p for p, (_, seen) in watch.remote_viewers.items() if seen < since]:
            del watch.remote_viewers[process]
        total = len(watch.followers) + sum(n for n, _ in watch.remote_viewers.values())
        if total != watch.announced_viewers:
            watch.announced_viewers = total
            # two changes within a millisecond are two versions
            watch.viewers_version = max(int(time.time() * 1000), watch.viewers_version + 1)
            self._signals(watch.stream_id, {"viewers": (watch.viewers_version, total)})

    def viewers(self, stream_id: UUID) -> int:
        watch = self._watches.get(stream_id)
        return max(watch.announced_viewers, 0) if watch is not None else 0

    def _remote_viewers(self, message: _Viewers) -> None:
        if message.process == self.process:
            return
        now = time.monotonic()
        for key, count in message.counts.items():
            watch = self._watches.get(UUID(key))
            if watch is not None:
                watch.remote_viewers[message.process] = (count, now)
                self._count_viewers(watch)

    # --- the beacon ---------------------------------------------------------------------------------------------

    async def _beacon(self) -> None:
        """Every few seconds: where do the logs stand, what are the latest values, who may still be here?"""
        while True:
            await asyncio.sleep(BEACON_ALONE if self._layer.down else BEACON)
            try:
                await self.beacon_once()
            except Exception as error:
                logger.warning("beacon: %s", type(error).__name__)

    async def _renewal(self) -> None:
        """Beside the beacon, which must not wait for the layer."""
        while True:
            await asyncio.sleep(BEACON)
            await self._layer.renew([PEOPLE, *self._watches])

    async def beacon_once(self) -> None:
        self.beacon_rounds += 1
        stream_ids = [s for s, w in self._watches.items() if w.position >= 0]
        if not stream_ids:
            return
        counts = {str(s): len(self._watches[s].followers) for s in stream_ids}
        self._layer.post(PEOPLE, lambda: _encoder.encode(_Viewers(self.process, counts)))
        if not self.repair:
            return
        heads, latest = await self._readers.run(_heads_and_values, stream_ids)
        for stream_id, position in heads.items():
            watch = self._watches.get(stream_id)
            if watch is not None:
                await self._catch_up(watch, position)
                self._count_viewers(watch)
        for stream_id, values in latest.items():
            self._signals(stream_id, values)


def _encode_batch(committed: Committed) -> bytes:
    events = [(e.seq, e.kind, e.audience, e.person_id, e.wire, e.subject) for e in committed.events]
    return _encoder.encode(
        _Doorbell(committed.stream_id, committed.epoch, committed.first, committed.last, events)
    )


def _heads_and_values(
    stream_ids: list[UUID],
) -> tuple[dict[UUID, reading.Position], dict[UUID, dict[str, tuple[int, Any]]]]:
    return reading.positions(stream_ids), reading.latest_values(stream_ids)
