"""The log lane: committed ranges in order, holes filled from the log, one frame per audience."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import Error

from chat.log import reading, registry
from chat.log.batch import Committed
from chat.log.models import Audience
from chat.log.visibility import Viewer
from chat.realtime.frame import Frame
from chat.realtime.limits import TICK, TICK_EACH
from chat.realtime.readers import Readers
from chat.realtime.watch import Chunk, Follower, Watch, deliver_to_all

logger = logging.getLogger(__name__)

# How long a hole may wait for its late doorbell before the log is asked, in seconds.
HOLE_PATIENCE = 0.05
# A hole larger than this is not filled: followers get a fresh snapshot, which is smaller.
HOLE_LIMIT = 4 * reading.REPLAY_LIMIT
# Ranges that may wait behind a hole; what comes on top is read from the log later.
EARLY_LIMIT = 1_000


class LogLane:
    """Hands out what was committed. Which streams are followed is the hub's affair."""

    def __init__(
        self,
        readers: Readers,
        spawn: Callable[[Any], Any],
        recheck: Callable[[Watch, UUID | None], None],
    ) -> None:
        """`recheck(watch, person)` judges anew who may read, after an event that changes it."""
        self._readers = readers
        self._spawn = spawn
        self._recheck = recheck
        self._loop = asyncio.get_running_loop()
        self.repair = True
        # events read from the log because nobody had told of them, how often, and how often only a snapshot helped
        self.filled = 0
        self.holes = 0
        self.renewed = 0

    def deliver(self, watch: Watch, committed: Committed) -> None:
        """Hand out a committed range in order: drop what is known, wait for what is missing."""
        if watch.position >= 0 and committed.epoch != watch.epoch:
            if committed.epoch > watch.epoch:
                # a backup was restored: numbers mean something else now
                self._spawn(self.compare(watch))
            return
        if watch.position < 0 or committed.first > watch.position + 1:
            if len(watch.early) < EARLY_LIMIT:
                watch.early.append(committed)
            if watch.position >= 0:
                self._loop.call_later(HOLE_PATIENCE, self.fill, watch)
            return
        self._append(watch, committed)
        self._drain_early(watch)

    def stands_at(self, watch: Watch, head: reading.Position) -> None:
        """The head was read for the first time: what rang meanwhile and goes beyond it follows."""
        watch.position, watch.epoch = head.seq, head.epoch
        watch.pending_first = head.seq + 1
        watch.early = [c for c in watch.early if c.epoch == head.epoch]
        self._drain_early(watch)
        self.fill(watch)

    def _append(self, watch: Watch, committed: Committed) -> None:
        if committed.last <= watch.position:
            return
        new = [e for e in committed.events if e.seq > watch.position]
        if not watch.pending:
            watch.pending_first = watch.position + 1
        watch.pending.extend(new)
        watch.position = committed.last
        watch.log_fanout.plan(lambda: self.flush(watch))

    def _drain_early(self, watch: Watch) -> None:
        while watch.early:
            watch.early.sort(key=lambda c: c.first)
            nearest = watch.early[0]
            if nearest.first > watch.position + 1:
                return
            watch.early.pop(0)
            self._append(watch, nearest)

    # --- out ----------------------------------------------------------------------------------------------------

    def flush(self, watch: Watch) -> None:
        """Send what has gathered: one frame per audience, encoded once."""
        if watch.log_fanout.busy:
            return
        events, watch.pending = watch.pending, []
        if not events and watch.pending_first > watch.position:
            return
        chunk = Chunk(watch.stream_id, watch.epoch, watch.pending_first, watch.position, events)
        watch.pending_first = watch.position + 1
        public = chunk.frame(Viewer(None))
        if all(e.audience == Audience.PUBLIC for e in events):

            def act(followers: Sequence[Follower]) -> None:
                deliver_to_all(followers, chunk, public)
        else:
            frames: dict[Viewer, Frame] = {}
            named = {e.person_id for e in events if e.person_id is not None}

            def sees_more(viewer: Viewer) -> bool:
                return viewer.staff or viewer.person_id in named

            def act(followers: Sequence[Follower]) -> None:
                deliver_to_all([f for f in followers if not sees_more(f.viewer)], chunk, public)
                for follower in [f for f in followers if sees_more(f.viewer)]:
                    own = frames.get(follower.viewer)
                    if own is None:
                        own = frames[follower.viewer] = chunk.frame(follower.viewer)
                    follower.deliver(chunk, own)

        def done() -> None:
            for e in events:
                spec = registry.EVENTS.get(e.kind)
                if spec is not None and spec.changes_access:
                    self._recheck(watch, e.subject)
            if watch.pending:
                watch.log_fanout.plan(lambda: self.flush(watch))

        watch.log_fanout.pause = min(TICK, TICK_EACH * len(events))
        # whoever begins to follow from here on reads these events from the log
        watch.log_fanout.run(list(watch.followers.values()), act, done)

    # --- repair -------------------------------------------------------------------------------------------------

    def fill(self, watch: Watch) -> None:
        """Ask the log for what is missing, if it has not come by itself."""
        if watch.filling or not self.repair or not watch.followers:
            return
        self._drain_early(watch)
        if watch.early:
            self._spawn(self._fill_hole(watch))

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
                self.holes += 1
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

    async def compare(self, watch: Watch) -> None:
        """Look where the log stands, and make good what was not heard."""
        if not self.repair:
            return
        try:
            found = await self._readers.run(reading.positions, [watch.stream_id])
        except Error as error:
            logger.warning("the head of a stream could not be read: %s", type(error).__name__)
            return
        if watch.stream_id in found:
            await self.catch_up(watch, found[watch.stream_id])

    async def catch_up(self, watch: Watch, head: reading.Position) -> None:
        """The log stands at `head`: make good what lies between."""
        if not watch.followers or watch.position < 0:
            return
        if head.epoch > watch.epoch:
            self._begin_anew(watch, head)
        elif head.epoch == watch.epoch and head.seq > watch.position:
            await self._fill_hole(watch, head.seq)

    def _begin_anew(self, watch: Watch, head: reading.Position) -> None:
        """Forget where the stream stood: all who follow it get a fresh snapshot."""
        self.renewed += 1
        watch.epoch, watch.position = head.epoch, head.seq
        watch.early.clear()
        watch.pending.clear()
        watch.pending_first = head.seq + 1
        for follower in list(watch.followers.values()):
            follower.socket.rejoin(watch.stream_id)
