"""Inserts that do not wait for one another: the next one is made while the database carries out the last.

PostgreSQL only; elsewhere nothing changes. An insert that fails is heard of at the next statement that waits, at the
latest at the end of the block: inside the transaction, which it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connection

# Statements of which nobody asks how many rows they have met.
_UNHEARD = ("INSERT INTO ", "UPDATE stream_head ")


class _Pipeline:
    """libpq's pipeline mode, entered by the first insert and left by the first statement that needs an answer."""

    def __init__(self) -> None:
        self._open: psycopg.Pipeline | None = None

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if many or not sql.startswith(_UNHEARD) or " RETURNING " in sql:
            self.settle()
        elif self._open is None:
            self._open = connection.connection.pipeline()
            self._open.__enter__()
        return execute(sql, params, many, context)

    def settle(self) -> None:
        """Wait for what is on its way. Raises what it raised."""
        if self._open is not None:
            ending, self._open = self._open, None
            with connection.wrap_database_errors:
                ending.__exit__(None, None, None)


@contextmanager
def inserts_on_their_way() -> Iterator[None]:
    """Inside, inserts are sent and not waited for; every other statement waits for those before it."""
    if connection.vendor != "postgresql" or not psycopg.Pipeline.is_supported():
        yield
        return
    pipeline = _Pipeline()
    try:
        with connection.execute_wrapper(pipeline):
            yield
        pipeline.settle()
    finally:
        # after an error the connection must leave the mode to be rolled back; what else failed has the same cause
        with suppress(Exception):
            pipeline.settle()
