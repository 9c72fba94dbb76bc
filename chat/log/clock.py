"""One clock: the database's, read once per transaction after the locks, replaced in tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection

_frozen: datetime | None = None


def now() -> datetime:
    """The present moment (aware, UTC): the database's `clock_timestamp()`, or the test's.

    SQLite has no server, so its clock is the one process's own.
    """
    if _frozen is not None:
        return _frozen
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moment: datetime = cursor.fetchone()[0]
            return moment.astimezone(UTC)
    return datetime.now(UTC)


class FrozenClock:
    """A clock that stands until it is moved; for tests."""

    def __init__(self, start: datetime) -> None:
        self.set(start)

    def set(self, moment: datetime) -> None:
        global _frozen  # noqa: PLW0603 - the clock is one per process by design
        _frozen = moment

    def advance(self, seconds: float) -> datetime:
        assert _frozen is not None
        self.set(_frozen + timedelta(seconds=seconds))
        return _frozen


@contextmanager
def frozen(start: datetime | None = None) -> Iterator[FrozenClock]:
    """Stop the clock for the length of a `with` block."""
    global _frozen  # noqa: PLW0603 - see FrozenClock.set
    before = _frozen
    try:
        yield FrozenClock(start or datetime.now(UTC))
    finally:
        _frozen = before
