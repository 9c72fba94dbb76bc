"""The log's own statements, one per table and batch. The only module with SQL of the log's hot path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import repeat
from operator import is_
from typing import Any, cast
from uuid import UUID, SafeUUID

from django.db import connection, models

from chat.log.batch import Head, Promise, Request, encode
from chat.log.models import Outbox, Receipt, StreamHead


@cache
def _is_postgres() -> bool:
    # asked dozens of times per batch, and the same as long as the process lives
    return connection.vendor == "postgresql"


# --- reading ------------------------------------------------------------------------------------------------------

_set = object.__setattr__
_new = object.__new__


def _uuid(text: str | None) -> UUID | None:
    """A UUID from SQLite's column, without the checks of its constructor, which cost four times as much."""
    if text is None:
        return None
    found = _new(UUID)
    _set(found, "int", int(text, 16))
    _set(found, "is_safe", SafeUUID.unknown)
    return found


def _moment(value: datetime | str | None) -> datetime | None:
    """SQLite's columns come as naive moments, what was computed from them as text; both are UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return None if value is None else value.replace(tzinfo=UTC)


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_READ_SQLITE: dict[str, Callable[[Any], Any]] = {"u": _uuid, "t": _moment, "j": _loaded, "b": bool}
_READ_POSTGRES: dict[str, Callable[[Any], Any]] = {"j": _loaded}


def link() -> Any:
    """Where statements go past the cursors: PostgreSQL only."""
    return cast(Any, connection).link


def any_of(column: str, ids: Iterable[UUID]) -> tuple[str, Any]:
    """A condition "column is one of these ids" with exactly one parameter, however many ids there are."""
    if _is_postgres():
        return f"{column} = ANY(%s::uuid[])", link().array("uuid", list(ids))
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps([i.hex for i in ids])  # noqa: S608 - a name of ours


def id_rows(alias: str, names: Sequence[str], rows: Sequence[tuple[UUID, ...]]) -> tuple[str, list[Any]]:
    """A FROM clause that yields rows of ids under these names, and its parameters. `rows` must not be empty.

    Two `any_of` instead would mean every first id with every second: with 50 rooms and 250 people 12,500 pairs.
    """
    if _is_postgres():
        arrays = [link().array("uuid", ids) for ids in zip(*rows, strict=True)]
        marks = ", ".join(["%s::uuid[]"] * len(arrays))
        return f"unnest({marks}) AS {alias}({', '.join(names)})", arrays
    picked = ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(names))
    data = json.dumps([[i.hex for i in row] for row in rows])
    return f"(SELECT {picked} FROM json_each(%s)) AS {alias}", [data]  # noqa: S608 - names of ours


def stamp(value: datetime) -> Any:
    """One moment as a parameter."""
    return value if _is_postgres() else str(value.astimezone(UTC).replace(tzinfo=None))


Rows = list[tuple[Any, ...]]


def ask(sql: str, params: Sequence[Any], kinds: str) -> Callable[[], Rows]:
    """Begin one SELECT; what is returned waits for its rows. On PostgreSQL, what is asked in a row travels together.

    `kinds` has a letter per column: u uuid, t time, j JSON, b bool, anything else as it comes.
    """
    if _is_postgres():
        asked = link().ask(sql, params)
        return lambda: _convert(asked.rows(), kinds, _READ_POSTGRES)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found = _convert(cursor.fetchall(), kinds, _READ_SQLITE)
    return lambda: found


def fetch(sql: str, params: Sequence[Any], kinds: str) -> Rows:
    """Run one SELECT and wait for its rows; see `ask`."""
    return ask(sql, params, kinds)()


def _convert(rows: Rows, kinds: str, readers: dict[str, Callable[[Any], Any]]) -> Rows:
    converters = [(at, readers[kind]) for at, kind in enumerate(kinds) if kind in readers]
    if not converters or not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for at, convert in converters:
        columns[at] = [convert(value) for value in columns[at]]
    return list(zip(*columns, strict=True))


# --- inserting ----------------------------------------------------------------------------------------------------


def _json_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else encode(value).decode()


# How one value of a column is written.
_SQLITE: dict[str, Callable[[Any], Any]] = {
    "u": lambda v: v.hex,
    "t": lambda v: str(v.astimezone(UTC).replace(tzinfo=None)),
    "j": _json_text,
}
_POSTGRES: dict[str, Callable[[Any], Any]] = {"j": _json_text}


@cache
def _columns(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, list[tuple[str, str]]]:
    """The beginning of the INSERT, and (kind letter, PostgreSQL type) of each column."""
    quote = connection.ops.quote_name
    kinds = []
    columns = []
    for name in names:
        field = cast(Any, model._meta.get_field(name))
        target = field.target_field if field.is_relation else field
        letter, db_type = next(
            (
                found
                for kind, found in (
                    (models.UUIDField, ("u", "uuid")),
                    (models.DateTimeField, ("t", "timestamptz")),
                    (models.JSONField, ("j", str(target.db_type(connection)))),
                    (models.BooleanField, ("i", "boolean")),
                    (models.IntegerField, ("i", "bigint")),
                )
                if isinstance(target, kind)
            ),
            ("s", "text"),
        )
        kinds.append((letter, db_type))
        columns.append(quote(field.column))
    table = quote(model._meta.db_table)
    return f"INSERT INTO {table} ({', '.join(columns)}) ", kinds


def insert_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert many rows in one statement, without building model instances.

    `names` are field names (`shop` or `shop_id` alike). Values are Python values: UUID, aware datetime, int, str,
    bool, anything JSON for JSON fields (bytes: JSON that is encoded already). A column with one value in all rows is
    converted and sent once.
    """
    if not rows:
        return
    sql, kinds = _columns(model, tuple(names))
    columns = list(zip(*rows, strict=True))
    end = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    if _is_postgres():
        source, params = _postgres_source(kinds, columns)
        link().write(sql + source + end, params)
        return
    values = [_sqlite_values(letter, values) for (letter, _), values in zip(kinds, columns, strict=True)]
    marks = ", ".join(["%s"] * len(kinds))
    with connection.cursor() as cursor:
        cursor.executemany(f"{sql}VALUES ({marks}){end}", list(zip(*values, strict=True)))


def _same(values: Sequence[Any]) -> bool:
    return all(map(is_, values, repeat(values[0])))


def _sqlite_values(letter: str, values: Sequence[Any]) -> Sequence[Any]:
    convert = _SQLITE.get(letter)
    if convert is None:
        return values
    if _same(values):
        return [None if values[0] is None else convert(values[0])] * len(values)
    return [None if value is None else convert(value) for value in values]


def _postgres_source(
    kinds: Sequence[tuple[str, str]], columns: Sequence[Sequence[Any]]
) -> tuple[str, list[Any]]:
    """SELECT … FROM unnest(…): an array per column whose values differ."""
    picks: list[str] = []
    constants: list[Any] = []
    arrays: list[str] = []
    sent: list[Any] = []
    for at, ((letter, db_type), values) in enumerate(zip(kinds, columns, strict=True)):
        convert = _POSTGRES.get(letter)
        # the first column is always an array: it says how many rows there are
        if at and _same(values):
            value = values[0] if convert is None or values[0] is None else convert(values[0])
            picks.append(f"%s::{db_type}")
            constants.append(value)
            continue
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        arrays.append(f"%s::{db_type}[]")
        sent.append(link().array(db_type, values))
        picks.append(f"v.a{len(arrays)}")
    names = ", ".join(f"a{at}" for at in range(1, len(arrays) + 1))
    source = f"SELECT {', '.join(picks)} FROM unnest({', '.join(arrays)}) AS v({names})"  # noqa: S608 - names of ours, values are parameters
    return source, [*constants, *sent]


# --- heads --------------------------------------------------------------------------------------------------------

_HEADS = (
    "SELECT h.stream_id, h.seq, h.epoch, s.kind, s.tenant_id FROM stream_head h JOIN stream s ON s.id = h.stream_id "
    "WHERE "
)
# For the rest of the transaction. Its statements are the same each time and find their rows by an index: they are
# planned once, and never for the few rows that a table had at that moment.
_WAITING = (
    "WITH waiting AS MATERIALIZED (SELECT set_config('lock_timeout', %s, true), "
    "set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)) "
)


def lock_heads(
    stream_ids: Iterable[UUID], *, skip_locked: bool, lock_wait_ms: int | None = None
) -> Callable[[], dict[UUID, Head]]:
    """Begin to lock stream heads in id order; what is returned waits and reads them.

    With `skip_locked`, those that others hold are left out.

    `lock_wait_ms` bounds the wait for every lock that the transaction takes from here on.
    """
    condition, ids = any_of("h.stream_id", stream_ids)
    sql, params = _HEADS + condition, [ids]
    if _is_postgres():
        sql += " ORDER BY h.stream_id FOR NO KEY UPDATE OF h"
        if lock_wait_ms is not None:
            # in the same round trip
            sql = _WAITING + sql.replace(" WHERE ", " CROSS JOIN waiting WHERE ")
            params.insert(0, f"{lock_wait_ms}ms")
        if skip_locked:
            sql += " SKIP LOCKED"
    asked = ask(sql, params, "uiisu")
    return lambda: {row[0]: Head(*row[1:]) for row in asked()}


def existing_streams(stream_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these streams exist, locked or not."""
    return set(StreamHead.objects.filter(stream_id__in=list(stream_ids)).values_list("stream_id", flat=True))


def write_heads(new_seqs: dict[UUID, int]) -> None:
    """Store the last number given of each locked stream."""
    if not new_seqs:
        return
    if _is_postgres():
        array = link().array
        link().write(
            "UPDATE stream_head h SET seq = n.seq FROM unnest(%s::uuid[], %s::bigint[]) AS n(id, seq) "
            "WHERE h.stream_id = n.id",
            [array("uuid", [*new_seqs]), array("bigint", [*new_seqs.values()])],
        )
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE stream_head SET seq = %s WHERE stream_id = %s",
            [(seq, stream_id.hex) for stream_id, seq in new_seqs.items()],
        )


# --- receipts -----------------------------------------------------------------------------------------------------


Receipts = dict[tuple[int, int], tuple[str, dict[str, Any]]]


def find_receipts(requests: Sequence[Request]) -> Callable[[], Receipts]:
    """Begin to look for stored answers; what is returned waits for them: {`Request.key`: (fingerprint, answer)}."""
    if not requests:
        return dict
    condition, ids = any_of("client_id", [r.client_id for r in requests])
    sql = f"SELECT client_id, actor_id, fingerprint, answer FROM receipt WHERE {condition}"  # noqa: S608 - names of ours, values are parameters
    asked = ask(sql, [ids], "uusj")
    return lambda: {(c.int, a.int): (f, x) for c, a, f, x in asked()}


def write_receipts(requests: Sequence[Request], now: datetime, encoded: dict[int, bytes]) -> None:
    """Store the answers. `encoded`: those that are encoded already, by the identity of the dictionary."""
    insert_rows(
        Receipt,
        ("client_id", "actor_id", "stream_id", "fingerprint", "answer", "at"),
        # sorted: two batches that carry the same ids must not wait for each other in a circle
        sorted(
            (
                (
                    r.client_id,
                    r.actor_id,
                    r.stream_id,
                    r.fingerprint,
                    encoded.get(id(r.answer), r.answer),
                    now,
                )
                for r in requests
            ),
            key=lambda row: (row[0].int, row[1].int),
        ),
    )


# --- promises -----------------------------------------------------------------------------------------------------


def write_promises(promises: Sequence[Promise], now: datetime) -> None:
    """Store promised work; what is promised already stays as it is."""
    insert_rows(
        Outbox,
        ("id", "stream_id", "name", "payload", "at", "leased_until", "attempts", "failed"),
        [
            (p.id, p.stream_id, p.name, p.payload, p.at or now, None, 0, False)
            for p in sorted(promises, key=lambda p: p.id.int)
        ],
        ignore_conflicts=True,
    )


def open_promises(ids: Sequence[UUID]) -> set[UUID]:
    """Which of these outbox rows are still to be executed."""
    return set(Outbox.objects.filter(id__in=ids).values_list("id", flat=True))


def keep_promises(ids: Sequence[UUID]) -> None:
    """Delete the outbox rows of commands that this transaction has executed."""
    if ids:
        Outbox.objects.filter(id__in=ids).delete()


# --- the end ------------------------------------------------------------------------------------------------------


def commit() -> None:
    """Send what is on its way together with the COMMIT, where this is the outermost transaction."""
    if _is_postgres():
        link().commit()
