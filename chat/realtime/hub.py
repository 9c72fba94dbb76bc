"""The hub of a process: what was committed, here or elsewhere, reaches the sockets that follow the stream.

The channel layer is a doorbell that may ring late, twice or not at all. The log lane knows the last `seq` it has
handed out per stream; a hole is filled from the log, and the beacon finds what never rang.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
from django.db import Error

from chat.log import clock, reading, registry
from chat.log.batch import Committed, Outcome
from chat.log.errors import Refused
from chat.realtime import doorbell, protocol, signal_lane
from chat.realtime.allowances import Allowances
from chat.realtime.layer import PEOPLE, Layer
from chat.realtime.log_lane import LogLane
from chat.realtime.outbox import Backlog
from chat.realtime.readers import Readers
from chat.realtime.watch import Follower, Watch

if TYPE_CHECKING:
    from chat.realtime.consumer import Socket

logger = logging.getLogger(__name__)

BEACON = 3.0
# While the channel layer is down, the beacon is what carries news between processes.
BEACON_ALONE = 1.0
# A joining socket waits this long for the channel layer, in seconds; the log and the beacon do without it.
SUBSCRIBE_PATIENCE = 1.0
# A stream that nobody follows any more stays subscribed for this long: people reload pages.
UNSUBSCRIBE_AFTER = 5.0
# People whose access to a stream is judged in one query.
RECHECK_SLICE = 1_000


class Hub:
    """All watched streams of this process. Lives on the event loop; other threads use `hear`."""

    def __init__(self, layer: Layer, readers: Readers) -> None:
        self._layer = layer
        self._readers = readers
        self._loop = asyncio.get_running_loop()
        self._watches: dict[UUID, Watch] = {}
        self._people: dict[UUID, set[Socket]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told_at = 0
        self.process = uuid4()
        self.backlog = Backlog()
        self.log = LogLane(readers, self.spawn, self._recheck)
        self.allowances = Allowances()
        self.beacon_rounds = 0

    def start(self) -> None:
        self.spawn(self._layer.run(self._heard))
        self.spawn(self._layer.add(PEOPLE))
        self.spawn(self._beacon())
        self.spawn(self._renewal())
        self.spawn(self.allowances.tell_others(self.process, self._people, self._post))

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

    @property
    def layer(self) -> Layer:
        """The doorbell, for those who ask how it is."""
        return self._layer

    @property
    def watched(self) -> int:
        """Streams that somebody here follows."""
        return len(self._watches)

    # --- what this process has committed, and what others tell -----------------------------------------------------

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
            self._post(committed.stream_id, partial(doorbell.encode_batch, committed))
        by_stream: dict[UUID, dict[str, tuple[int, Any]]] = {}
        for s in outcome.signals:
            by_stream.setdefault(s.stream_id, {})[s.key] = (s.version, s.value)
        for stream_id, values in by_stream.items():
            self._signals(stream_id, values)
            self._post(stream_id, partial(doorbell.encode, doorbell.Values(stream_id, values)))
        if outcome.doorbells:
            self.ring(outcome.doorbells)
            people = doorbell.People(list(outcome.doorbells), [])
            self._post(PEOPLE, partial(doorbell.encode, people))

    def _post(self, key: UUID | str, make: Callable[[], bytes]) -> None:
        # what comes back to the process that said it is known by its first bytes
        self._layer.post(key, lambda: self.process.bytes + make())

    def _heard(self, data: bytes) -> None:
        """A message of the channel layer: nothing in it is trusted to be new, complete or in order."""
        if data[:16] == self.process.bytes:
            return
        try:
            message = doorbell.decode(data[16:])
        except msgspec.ValidationError:
            # of a kind that another version of the program has: an upgrade is under way
            logger.debug("a message of the channel layer has no meaning here")
            return
        except msgspec.DecodeError:
            logger.warning("a message of the channel layer could not be read")
            return
        match message:
            case doorbell.Batch():
                self.deliver(message.committed())
            case doorbell.Values():
                self._signals(message.stream, message.values)
            case doorbell.Viewers():
                for key, count in message.counts.items():
                    watch = self._watches.get(UUID(key))
                    if watch is not None:
                        signal_lane.viewers_elsewhere(watch, message.process, count)
            case doorbell.People():
                self.ring(message.ring)
                for person_id in message.revoke:
                    self.recheck_person(person_id)
            case doorbell.Tell():
                self._told(message)
            case doorbell.Spent():
                self.allowances.spent_elsewhere(message, clock.told_ms())

    def deliver(self, committed: Committed) -> None:
        """Hand out a committed range, if somebody here follows its stream."""
        watch = self._watches.get(committed.stream_id)
        if watch is not None:
            self.log.deliver(watch, committed)

    def flush(self) -> None:
        """Send what waits for the next tick now."""
        for watch in self._watches.values():
            self.log.flush(watch)

    # --- following ----------------------------------------------------------------------------------------------

    def watches(self, stream_id: UUID) -> bool:
        """Whether somebody here follows the stream already."""
        watch = self._watches.get(stream_id)
        return watch is not None and watch.position >= 0

    def begin(self, socket: Socket, stream_id: UUID) -> Follower:
        """Begin to gather what is committed for a socket; a place that it has already begins anew.

        The caller waits until it is `opened`, reads access and replay afterwards, and releases.
        """
        watch = self._watches.get(stream_id)
        if watch is None:
            watch = self._watches[stream_id] = Watch(stream_id)
            self.spawn(self._open(watch))
        before = watch.followers.get(socket)
        if before is not None:
            before.leave()
        follower = watch.followers[socket] = Follower(socket, watch)
        return follower

    async def opened(self, follower: Follower) -> None:
        """Wait until the stream is watched. Raises `Refused` when the log cannot be read."""
        watch = follower.watch
        await watch.ready.wait()
        if watch.failed:
            raise Refused("server.unavailable", temporary=True)
        signal_lane.count_viewers(watch)

    def follows(self, follower: Follower) -> bool:
        """Whether this is still the socket's place in the stream."""
        return not follower.gone and self._watches.get(follower.watch.stream_id) is follower.watch

    async def _open(self, watch: Watch) -> None:
        # subscribed first, read afterwards: what is committed in between is in one of the two
        subscribing = self.spawn(self._subscribe(watch))
        if not self._layer.down:
            await asyncio.wait({subscribing}, timeout=SUBSCRIBE_PATIENCE)
        try:
            found, latest = await self._readers.run(heads_and_values, [watch.stream_id])
        except Exception as error:
            logger.warning("the head of a stream could not be read: %s", type(error).__name__)
            watch.failed = True
            if self._watches.get(watch.stream_id) is watch:
                del self._watches[watch.stream_id]
                self._unsubscribe_later(watch.stream_id)
        else:
            if watch.stream_id in found:
                for key, value in latest.get(watch.stream_id, {}).items():
                    if key not in watch.values or watch.values[key][0] < value[0]:
                        watch.values[key] = value
                self.log.stands_at(watch, found[watch.stream_id])
        watch.ready.set()

    async def _subscribe(self, watch: Watch) -> None:
        await self._layer.add(watch.stream_id)
        if self._watches.get(watch.stream_id) is not watch:
            self._unsubscribe_later(watch.stream_id)
        elif watch.position >= 0:
            # the layer was slow: what rang before was not heard
            await self.log.compare(watch)

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
        follower = watch.followers.pop(socket, None) if watch is not None else None
        if watch is None or follower is None:
            return
        follower.leave()
        if not watch.followers:
            del self._watches[stream_id]
            self._unsubscribe_later(stream_id)
        else:
            signal_lane.count_viewers(watch)

    def position_of(self, stream_id: UUID) -> int:
        """The last `seq` handed out here; -1 for a stream that nobody here follows. For metrics and tests."""
        watch = self._watches.get(stream_id)
        return -1 if watch is None else watch.position

    # --- people -------------------------------------------------------------------------------------------------

    def add_person(self, person_id: UUID, socket: Socket) -> set[Socket]:
        """All sockets of this person here, this one among them."""
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
        frame = protocol.encode(protocol.Panel(clock.told_ms()))
        for person_id in people:
            for socket in self._people.get(person_id, ()):
                socket.outbox.put_latest("panel", frame)

    def revoke(self, person_id: UUID) -> None:
        """A person's session, password or account has changed: judge their sockets anew, on every process."""
        self.recheck_person(person_id)
        self._post(PEOPLE, partial(doorbell.encode, doorbell.People([], [person_id])))

    def recheck_person(self, person_id: UUID) -> None:
        for socket in self.sockets_of(person_id):
            self.spawn(socket.recheck_identity())

    def _recheck(self, watch: Watch, person_id: UUID | None) -> None:
        """Judge anew whether followers may still read: one person's, or everybody's."""
        if person_id is None or any(s in watch.followers for s in self._people.get(person_id, ())):
            self.spawn(self._recheck_access(watch, person_id))

    async def _recheck_access(self, watch: Watch, person_id: UUID | None) -> None:
        people: list[UUID | None] = [person_id]
        if person_id is None:
            # what guests may read, nobody has lost; who was banned is named in an event of their own
            if (await self._may_read(watch, [None]))[None].read:
                return
            people = list({s.person_id for s in watch.followers})
        for first in range(0, len(people), RECHECK_SLICE):
            judged = await self._may_read(watch, people[first : first + RECHECK_SLICE])
            for follower in list(watch.followers.values()):
                verdict = judged.get(follower.socket.person_id)
                if verdict is None:
                    continue
                if not verdict.read:
                    follower.socket.put_out(watch.stream_id, verdict.reason)
                elif follower.held is not None or follower.viewer.staff != verdict.staff:
                    # another role sees other things: a fresh snapshot is the only right answer
                    follower.socket.rejoin(watch.stream_id)

    async def _may_read(self, watch: Watch, people: list[UUID | None]) -> dict[UUID | None, registry.Access]:
        pairs = [(watch.stream_id, person) for person in people]
        while True:
            try:
                found = await self._readers.run(reading.access_of, pairs)
            except Error as error:
                # nobody stays in because the database was away
                logger.warning("access could not be judged: %s", type(error).__name__)
                await asyncio.sleep(0.5)
            else:
                return {person: verdict for (_, person), verdict in found.items()}

    # --- signals ------------------------------------------------------------------------------------------------

    def _signals(self, stream_id: UUID, values: dict[str, tuple[int, Any]]) -> None:
        watch = self._watches.get(stream_id)
        if watch is not None:
            signal_lane.take(watch, values)

    def tell(self, stream_id: UUID, name: str, person_id: UUID | None, value: str) -> None:
        """Pass a passing signal (typing, a reaction) to everyone in the stream, on every process."""
        # two within a millisecond are two versions
        self._told_at = max(clock.told_ms(), self._told_at + 1)
        message = doorbell.Tell(stream_id, name, person_id, value, self._told_at)
        self._told(message)
        self._post(stream_id, partial(doorbell.encode, message))

    def _told(self, message: doorbell.Tell) -> None:
        watch = self._watches.get(message.stream)
        if watch is not None:
            signal_lane.tell(watch, message)

    def viewers(self, stream_id: UUID) -> int:
        watch = self._watches.get(stream_id)
        return max(watch.announced_viewers, 0) if watch is not None else 0

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
        self._post(PEOPLE, partial(doorbell.encode, doorbell.Viewers(self.process.hex, counts)))
        if not self.log.repair:
            return
        heads, latest = await self._readers.run(heads_and_values, stream_ids)
        for stream_id, position in heads.items():
            watch = self._watches.get(stream_id)
            if watch is not None:
                await self.log.catch_up(watch, position)
                signal_lane.count_viewers(watch)
        for stream_id, values in latest.items():
            self._signals(stream_id, values)


def heads_and_values(
    stream_ids: list[UUID],
) -> tuple[dict[UUID, reading.Position], dict[UUID, dict[str, tuple[int, Any]]]]:
    """Where these streams stand, and their latest values."""
    return reading.positions(stream_ids), reading.latest_values(stream_ids)
