"""The same thing for many sockets, without keeping the event loop from everybody else meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from chat.realtime.stats import stats

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Sockets served in one go: some two milliseconds, then the loop may look after others.
SLICE = 500
# After a fan-out the next one of the same stream waits this many times as long as that one took: in a room of ten
# thousand, what arrives meanwhile leaves in one write.
REST = 1.0


class FanOut(Generic[T]):
    """One stream's fan-outs of one kind: one at a time, the first after quiet at once, the next after a pause."""

    __slots__ = ("_begun_at", "_cost", "_index", "_loop", "_planned", "_targets", "busy", "pause")

    def __init__(self, pause: float) -> None:
        """`pause`: seconds between two, at least."""
        self.pause = pause
        self.busy = False
        self._loop = asyncio.get_running_loop()
        self._planned: asyncio.TimerHandle | None = None
        self._begun_at = float("-inf")
        self._cost = 0.0
        self._targets: Sequence[T] = ()
        self._index = 0

    def plan(self, begin: Callable[[], None]) -> None:
        """Call `begin` now, or when the pause is over; asked again meanwhile, once is enough."""
        if self.busy or self._planned is not None:
            return
        wait = self._begun_at + max(self.pause, self._cost * (1 + REST)) - time.monotonic()
        if wait <= 0:
            begin()
        else:
            self._planned = self._loop.call_later(wait, self._due, begin)

    def _due(self, begin: Callable[[], None]) -> None:
        self._planned = None
        if not self.busy:
            begin()

    def run(self, targets: Sequence[T], act: Callable[[Sequence[T]], None], done: Callable[[], None]) -> None:
        """`act` on all, a slice at a time; `done` afterwards, when the next may be planned."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        self.busy = True
        self._begun_at = time.monotonic()
        self._cost = 0.0
        self._targets, self._index = targets, 0
        stats.frames_fanned_out += len(targets)
        self._step(act, done)

    def _step(self, act: Callable[[Sequence[T]], None], done: Callable[[], None]) -> None:
        began = time.perf_counter()
        upto = self._index + SLICE
        try:
            act(self._targets[self._index : upto])
        except Exception:
            # the others must hear it, and the next fan-out must begin
            logger.exception("a part of a fan-out failed")
        self._index = upto
        self._cost += time.perf_counter() - began
        if upto < len(self._targets):
            self._loop.call_soon(self._step, act, done)
            return
        self._targets = ()
        self.busy = False
        done()
