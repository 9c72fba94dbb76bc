"""How fast people may send: one allowance per person, whatever sockets and processes they use.

A process counts what it hears itself at once, and what the others have heard a second later: they tell each other
through the channel layer. What is lost or late there makes the limit looser, and what comes twice counts once. With
more processes than the debt has bursts (`limits.DEBT_BURSTS`), whoever bursts on all of them in turn gets more than the
rate. (Messages, claims and everything else that is kept have limits of their own, under the lock of their stream.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from functools import partial
from heapq import nlargest
from uuid import UUID

from chat.log import clock
from chat.realtime import doorbell, limits
from chat.realtime.doorbell import Spent
from chat.realtime.layer import PEOPLE

# Processes tell each other what was spent this often, in seconds.
TELL_EVERY = 1.0
# What was told longer ago, in milliseconds, is not news any more.
LATE_MS = 3_000
# Who has sent fewer frames since the last time is not worth telling of.
WORTH_TELLING = 2
# People told of at once: those who sent most.
TOLD_MOST = 1_000


class Allowances:
    """The buckets of this process, by person. One that is full again, and whose person has gone, is forgotten."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, limits.Bucket] = {}
        # when the other processes have told last, by their own clocks
        self._told_at: dict[str, int] = {}

    def of(self, person_id: UUID) -> limits.Bucket:
        """What this person's sockets draw on; somebody who comes back soon finds it as they left it."""
        bucket = self._buckets.get(person_id)
        if bucket is None:
            bucket = self._buckets[person_id] = limits.Bucket(limits.RATE, limits.BURST)
        return bucket

    def spent(self) -> dict[UUID, int]:
        """Frames that were let in here since the last time, by those who sent some; for the other processes."""
        found = [(b.count(), person) for person, b in self._buckets.items()]
        worth = [pair for pair in found if pair[0] >= WORTH_TELLING]
        if len(worth) > TOLD_MOST:
            worth = nlargest(TOLD_MOST, worth)
        return {person: count for count, person in worth}

    def spent_elsewhere(self, told: Spent, now: int) -> None:
        """Count what another process has let in; `now` in Unix milliseconds.

        What comes too late is left out: those tokens would be back by now. People who are not here count too.
        """
        if abs(now - told.at) > LATE_MS or told.at <= self._told_at.get(told.process, 0):
            return
        self._told_at[told.process] = told.at
        for person_id, count in told.counts.items():
            self.of(person_id).spend(count)

    def forget(self, here: Container[UUID], now: int) -> None:
        """Forget those who are not `here` and could begin anew anyway."""
        for person_id in [p for p, b in self._buckets.items() if p not in here and b.missing <= 0]:
            del self._buckets[person_id]
        for process in [p for p, at in self._told_at.items() if now - at > 2 * LATE_MS]:
            del self._told_at[process]

    async def tell_others(
        self, process: UUID, here: Container[UUID], post: Callable[[str, Callable[[], bytes]], None]
    ) -> None:
        """Tell the other processes what is spent on this one, for as long as it lives."""
        while True:
            await asyncio.sleep(TELL_EVERY)
            now = clock.told_ms()
            if spent := self.spent():
                post(PEOPLE, partial(doorbell.encode, Spent(process.hex, now, spent)))
            self.forget(here, now)
