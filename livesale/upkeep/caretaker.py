"""The thread of a serving process that does the chores. One process at a time; the others look again later."""

from __future__ import annotations

import atexit
import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connection

from livesale.upkeep import chores

logger = logging.getLogger(__name__)

# How often a process looks, in seconds; an erasure that is due waits no longer.
INTERVAL = 20.0
# Between two transactions of a chore: the writer lane comes first.
BREATH = 0.05
# Any number that nobody else locks by.
_LOCK = 0x6C697665_73616C65


class _Ending(BaseException):
    """The process ends; no failure of a chore."""


@contextmanager
def alone() -> Iterator[bool]:
    """Whether no other process is at it. SQLite has one serving process, and a command beside it only repeats work."""
    if connection.vendor != "postgresql":
        yield True
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        mine: bool = cursor.fetchone()[0]
    try:
        yield mine
    finally:
        # lost with the connection, if that is lost
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


class Caretaker:
    """Looks every few seconds whether a chore is due. What it does is cut into small transactions."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def start(self) -> None:
        # the process ends when it has drained; what is under way here is finished first
        atexit.register(self.stop)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the transaction that is under way."""
        self._stop.set()
        self._thread.join(timeout)

    def _pause(self) -> None:
        if self._stop.wait(BREATH):
            raise _Ending

    def _run(self) -> None:
        # processes that were started together look at different moments
        while not self._stop.wait(INTERVAL * random.uniform(0.5, 1.5)):  # noqa: S311 - not a secret
            try:
                with alone() as mine:
                    if mine:
                        chores.do_due(self._pause)
            except _Ending:
                break
            except Error as error:
                logger.warning("chores: %s", type(error).__name__)
            except Exception:
                logger.exception("the caretaker failed; it goes on")
            finally:
                connection.close()
