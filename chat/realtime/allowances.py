"""How fast people may send: one allowance per person, whatever sockets and processes they use.

A process counts what it hears itself at once, and what the others have heard a second later: they tell each other
through the channel layer. What is lost there makes the limit looser, never tighter. (Messages, claims and everything
else that is kept have limits of their own, under the lock of their stream.)
"""

from __future__ import annotations

from collections.abc import Container
from heapq import nlargest
from uuid import UUID

from chat.realtime import limits

# Processes tell each other what was spent this often, in seconds.
TELL_EVERY = 1.0
# Who has sent fewer frames since the last time is not worth telling of.
WORTH_TELLING = 2
# People told of at once: those who sent most.
TOLD_MOST = 1_000


class Allowances:
    """The buckets of this process, by person. One that is full again, and whose person has gone, is forgotten."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, limits.Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

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

    def spent_elsewhere(self, counts: dict[UUID, int]) -> None:
        """Count what another process has let in; people who are not here are kept in mind too."""
        for person_id, count in counts.items():
            self.of(person_id).spend(count)

    def forget(self, here: Container[UUID]) -> None:
        """Forget those who are not `here` and could begin anew anyway."""
        for person_id in [p for p, b in self._buckets.items() if p not in here and b.full]:
            del self._buckets[person_id]
