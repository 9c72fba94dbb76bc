"""Statements that travel together: asked one after the other, answered in one round trip.

A cursor waits for each statement, sends values as text inside of it, and has the database plan it anew. Here each
statement is prepared once per connection, arrays travel in PostgreSQL's binary format, and nothing waits before
somebody looks at an answer (libpq's pipeline mode). What that saves is told in docs/adr/0013.

Statements are carried out in the order in which they were asked, each after the one before has ended, and see what
any separate statement would see. After one that fails, the others of the same trip are not carried out.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

if TYPE_CHECKING:
    from livesale.postgres.base import DatabaseWrapper

# Statements that a connection keeps prepared; what comes on top is planned each time.
PREPARED_MOST = 400
# Nothing heard for this long, in seconds: the link is dead, whatever TCP says. What a batch asks takes milliseconds,
# and waits for locks have limits of their own.
PATIENCE = 30.0
# A statement that is longer is made of parts, and seldom comes again.
LONGEST = 3_000

_TEXT, _BINARY = 0, 1
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
# What a prepared statement says that does not fit any more: its tables have changed, or a pooler has swapped the
# session under us. A new connection prepares anew.
_STALE = {"0A000", "26000"}
# A division by zero: how a statement says that it has met other rows than it must.
_OTHER_ROWS = "22012"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Binary(bytes):
    """A value in PostgreSQL's binary format."""


# --- arrays -------------------------------------------------------------------------------------------------------

# Element types: pg_type.oid, which is the same in every PostgreSQL.
_OIDS = {
    "uuid": 2950,
    "bigint": 20,
    "boolean": 16,
    "text": 25,
    "timestamptz": 1184,
    "json": 114,
    "jsonb": 3802,
}
_NULL = b"\xff\xff\xff\xff"
_SIXTEEN = (16).to_bytes(4)


def _header(element: str, count: int, nulls: bool) -> bytes:
    return struct.pack(">iiiii", 1, nulls, _OIDS[element], count, 1)


def _micros(moment: datetime) -> bytes:
    past = moment - _EPOCH
    return ((past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds).to_bytes(8, signed=True)


# What a value that is not None is in bytes.
_ELEMENTS: dict[str, Callable[[Any], bytes]] = {
    "uuid": lambda v: v.int.to_bytes(16),
    "bigint": lambda v: int(v).to_bytes(8, signed=True),
    "boolean": lambda v: b"\x01" if v else b"\x00",
    "text": lambda v: str(v).encode(),
    "timestamptz": _micros,
    "json": lambda v: v if isinstance(v, bytes) else v.encode(),
    "jsonb": lambda v: b"\x01" + (v if isinstance(v, bytes) else v.encode()),
}


def array(element: str, values: Sequence[Any]) -> Binary:
    """A one-dimensional array parameter; `element` names the type of its elements. JSON comes as encoded text."""
    count = len(values)
    if not count:
        return Binary(struct.pack(">iii", 0, 0, _OIDS[element]))
    if None not in values:
        if element == "uuid":
            items = _SIXTEEN + _SIXTEEN.join([v.int.to_bytes(16) for v in values])
            return Binary(_header(element, count, False) + items)
        if element == "bigint":
            lengths_and_values = chain.from_iterable([(8, v) for v in values])
            return Binary(
                _header(element, count, False) + struct.pack(">" + "iq" * count, *lengths_and_values)
            )
    convert = _ELEMENTS[element]
    parts = [_header(element, count, None in values)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            item = convert(value)
            parts.append(len(item).to_bytes(4))
            parts.append(item)
    return Binary(b"".join(parts))


def _encode(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, UUID):
        return value.hex.encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    if isinstance(value, str | int):
        return str(value).encode()
    raise TypeError(f"{type(value).__name__} is not a parameter of a link")


# --- asking -------------------------------------------------------------------------------------------------------


class Asked:
    """A statement on its way."""

    __slots__ = ("_link", "otherwise", "result", "sql")

    def __init__(self, link: Link, sql: str) -> None:
        self._link = link
        self.result: pq.abc.PGresult | None = None
        self.sql = sql
        # what is raised when the statement has not met the rows that it must
        self.otherwise: Callable[[], Exception] | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """Wait, if need be, and read the rows. Raises Django's database errors."""
        return self._link.read(self._wait())

    def _wait(self) -> pq.abc.PGresult:
        if self.result is None:
            self._link.settle()
            if self.result is None:
                raise RuntimeError("this statement was not carried out")
        return self.result


class Link:
    """What is asked of one connection. Used by the thread that uses the connection."""

    def __init__(self, wrapper: DatabaseWrapper, *, prepares: bool = True) -> None:
        """`prepares`: not behind a pooler that gives every transaction another session."""
        self._wrapper = wrapper
        self._prepares = prepares
        self._statements: dict[str, tuple[bytes, bytes]] = {}
        self._begin()

    def _begin(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None
        self._prepared: set[bytes] = set()
        # what was sent, in its order; the name of a statement that is being prepared; None for BEGIN and COMMIT
        self._sent: list[Asked | bytes | None] = []
        self._piped = False

    # --- sending ------------------------------------------------------------------------------------------------

    array = staticmethod(array)

    def ask(self, sql: str, params: Sequence[Any] = ()) -> Asked:
        """Send a statement with `%s` for each parameter, and don't wait.

        Parameters are text, numbers, ids, moments, None, or what `array` has made. Raises Django's database errors
        only when the connection itself is gone; what the database says comes with the answer.
        """
        pgconn = self._ready()
        asked = Asked(self, sql)
        statement, name = self._statement(sql)
        values = [_encode(p) for p in params]
        formats = [_BINARY if isinstance(p, Binary) else _TEXT for p in params]
        with self._wrapper.wrap_database_errors:
            if not name:
                pgconn.send_query_params(statement, values, None, formats, _BINARY)
            else:
                if name not in self._prepared:
                    pgconn.send_prepare(name, statement)
                    self._sent.append(name)
                    self._prepared.add(name)
                pgconn.send_query_prepared(name, values, formats, _BINARY)
        self._sent.append(asked)
        if self._wrapper.queries_logged:
            self._log(asked)
        return asked

    def write(
        self,
        sql: str,
        params: Sequence[Any],
        *,
        must: int | None = None,
        otherwise: Callable[[], Exception] | None = None,
    ) -> None:
        """As `ask`, for what has no answer: inside a transaction its errors come with the next answer or the end.

        A statement that writes other than `must` rows fails in the database, so that no COMMIT can follow it, and
        raises what `otherwise` makes.
        """
        if must is not None:
            inner = sql
            sql = f"WITH done AS ({inner} RETURNING 1) SELECT 1 / (count(*) = %s)::int FROM done"  # noqa: S608 - statements are ours
            params = [*params, must]
        self.ask(sql, params).otherwise = otherwise
        if self._wrapper.get_autocommit():
            self.settle()

    def commit(self) -> None:
        """End the outermost transaction in the same trip as what was asked before, and wait for both.

        Inside another block nothing is ended: the block around it will.
        """
        if self._piped and self._wrapper.in_atomic_block and not self._wrapper.savepoint_ids:
            assert self._connection is not None
            with self._wrapper.wrap_database_errors:
                self._connection.pgconn.send_query_params(b"COMMIT", None)
            self._sent.append(None)
        self.settle()

    def _statement(self, sql: str) -> tuple[bytes, bytes]:
        """The statement as PostgreSQL writes it, and its name; no name: planned each time."""
        known = self._statements.get(sql)
        if known is None:
            parts = sql.split("%s")
            text = parts[0] + "".join(f"${at}{part}" for at, part in enumerate(parts[1:], 1))
            kept = len(sql) <= LONGEST and len(self._statements) < PREPARED_MOST
            name = b"s%d" % len(self._statements) if kept and self._prepares else b""
            known = (text.encode(), name)
            if kept:
                self._statements[sql] = known
        return known

    def _ready(self) -> pq.abc.PGconn:
        """The connection, in pipeline mode and in a transaction where Django thinks that there is one."""
        wrapper = self._wrapper
        wrapper.ensure_connection()
        if wrapper.connection is not self._connection:
            self._begin()
            self._connection = wrapper.connection
        assert self._connection is not None
        pgconn = self._connection.pgconn
        if not self._piped:
            wrapper.validate_thread_sharing()
            idle = pgconn.transaction_status == pq.TransactionStatus.IDLE
            wrapper.validate_no_broken_transaction()
            with wrapper.wrap_database_errors:
                pgconn.enter_pipeline_mode()
                self._piped = True
                if idle and not self._connection.autocommit:
                    pgconn.send_query_params(b"BEGIN", None)
                    self._sent.append(None)
        return pgconn

    # --- receiving ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait for everything that was asked. Raises the first error among it, as Django's."""
        if not self._piped:
            return
        sent, self._sent = self._sent, []
        self._piped = False
        assert self._connection is not None
        pgconn = self._connection.pgconn
        failed: pq.abc.PGresult | None = None
        whose: Asked | bytes | None = None
        with self._wrapper.wrap_database_errors:
            try:
                pgconn.pipeline_sync()
                for one in sent:
                    result = self._result(pgconn)
                    if result.status in _FAILED:
                        if failed is None:
                            failed, whose = result, one
                        if isinstance(one, bytes):
                            self._prepared.discard(one)
                    elif isinstance(one, Asked):
                        one.result = result
                self._result(pgconn)
                pgconn.exit_pipeline_mode()
            except BaseException:
                # somewhere in the middle: nobody can tell any more which answer is whose
                self._connection.close()
                raise
            if failed is None:
                return
            error = error_from_result(failed, encoding="utf-8")
            if isinstance(whose, Asked) and whose.otherwise and error.sqlstate == _OTHER_ROWS:
                raise whose.otherwise() from None
            if error.sqlstate in _STALE:
                self._connection.close()
            raise error

    def _result(self, pgconn: pq.abc.PGconn) -> pq.abc.PGresult:
        """The next result; the empty one between two statements is skipped."""
        while True:
            if pgconn.is_busy():
                self._wait(pgconn)
            result = pgconn.get_result()
            if result is not None:
                return result

    def _wait(self, pgconn: pq.abc.PGconn) -> None:
        """Until the next result is here. Others run meanwhile, and what the database has not taken yet is sent."""
        poll = select.poll()
        socket = pgconn.socket
        sending = pgconn.flush()
        while pgconn.is_busy():
            poll.register(socket, select.POLLIN | (select.POLLOUT if sending else 0))
            if not poll.poll(PATIENCE * 1_000):
                raise psycopg.OperationalError(f"the database has not answered for {PATIENCE:g} s")
            pgconn.consume_input()
            if sending:
                sending = pgconn.flush()

    def read(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        transformer = Transformer(self._connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    # --- the end ------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Before a rollback: what was asked does not matter any more."""
        with suppress(Exception):
            self.settle()

    def close(self) -> None:
        """The connection is closed: nothing on it is prepared or on its way."""
        self._begin()

    def _log(self, asked: Asked) -> None:
        began = time.monotonic()
        self.settle()
        took = time.monotonic() - began
        self._wrapper.queries_log.append(
            {"sql": asked.sql, "time": f"{took:.3f}", "alias": self._wrapper.alias}
        )
