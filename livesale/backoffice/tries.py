"""How often somebody may ask who an address belongs to: each try tells whether it has an account here, and whose it is.

Counted in the memory of a process, for a refusal leaves no row to count, and no lane waits for a cache while it holds
a shop. With more processes it is as much more that can be asked; it stays a handful against lists of addresses.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from uuid import UUID

from chat.log.errors import Refused, describe

describe(
    "staff.too_many_tries",
    "You have named {limit} addresses within an hour. Please go on in {minutes} minutes.",
)

LIMIT = 20
WITHIN = timedelta(hours=1)
# From so many people on, those whose hour is over are looked for and forgotten.
CROWDED = 1_000


class Tries:
    """When each person has tried, for as long as it counts: a person, not a shop, for anybody can open shops."""

    def __init__(self) -> None:
        self._tried: dict[UUID, deque[datetime]] = {}

    def take(self, person_id: UUID, now: datetime) -> None:
        """Count one. Raises `staff.too_many_tries`; what was refused so does not count."""
        tried = self._tried.setdefault(person_id, deque())
        while tried and tried[0] <= now - WITHIN:
            tried.popleft()
        if len(tried) >= LIMIT:
            wait = (tried[0] + WITHIN - now).total_seconds()
            minutes = int(wait // 60) + 1
            raise Refused(
                "staff.too_many_tries",
                temporary=True,
                retry_after=round(wait, 1),
                limit=LIMIT,
                minutes=minutes,
            )
        tried.append(now)
        if len(self._tried) > CROWDED:
            self._forget(now)

    def _forget(self, now: datetime) -> None:
        for person_id in [p for p, tried in self._tried.items() if tried[-1] <= now - WITHIN]:
            del self._tried[person_id]


# One process, one count: by design, as with what a gate knows.
tries = Tries()
