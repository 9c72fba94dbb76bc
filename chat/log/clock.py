"""One clock: the database's, read once per transaction after the locks, replaced in tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection

from chat.log import store

_frozen: datetime | None = None
# By how many seconds the database's clock is ahead of this machine's, as it was found last.
_ahead = 0.0
# An answer that took longer than this says too little about the moment it was made in, in seconds.
PROMPT = 0.1


def now() -> datetime:
    """The present moment (aware, UTC): the database's `clock_timestamp()`, or the test's.

    SQLite has no server, so its clock is the one process's own.
    """
    return ask()()


def ask() -> Callable[[], datetime]:
    """Begin to ask what time it is; what is returned waits for the answer, given after what was asked before."""
    if _frozen is not None:
        moment = _frozen
        return lambda: moment
    if connection.vendor == "postgresql":
        began = time.time()
        asked = store.ask("SELECT clock_timestamp()", [], "t")

        def answer() -> datetime:
            found: datetime = asked()[0][0]
            _compare(found, began, time.time())
            return found.astimezone(UTC)

        return answer
    return lambda: datetime.now(UTC)


def _compare(moment: datetime, asked: float, answered: float) -> None:
    """Note how wrong this machine's clock is."""
    global _ahead  # noqa: PLW0603 - the clock is one per process by design
    found = moment.timestamp() - (asked + answered) / 2
    if answered - asked < PROMPT or abs(found - _ahead) > answered - asked:
        _ahead = found


def told_ms() -> int:
    """The same clock in Unix milliseconds, without asking: for what is told and compared, never for what is decided.

    A serving process asks the database twice a second at least; in between, this machine's clock goes on from there.
    """
    return int((time.time() + _ahead) * 1000)


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
