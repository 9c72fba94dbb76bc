# ruff: noqa: S608 - names come from the models, values are always parameters
"""Set-based reads and writes that are the same on PostgreSQL and SQLite.

The ORM costs tens of microseconds per row, too much where one transaction carries hundreds of claims. Nothing in here
knows a table: names come from the models, values are always parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from operator import is_
from typing import Any, cast
from uuid import UUID

from django.db import connection, models

from commerce.errors import Conflict
from commerce.ids import from_hex

Insert = Callable[[type[models.Model], Sequence[str], list[tuple[Any, ...]]], Any]
"""``insert(model, attribute names, rows)``: plain Python values; columns that are not named take their default."""


@lru_cache
def _postgres() -> bool:
    # asked dozens of times per batch, and the same as long as the process lives
    return connection.vendor == "postgresql"


def link() -> Any:
    """Where statements go past the cursors: PostgreSQL only."""
    return cast(Any, connection).link


def any_of(column: str, ids: Iterable[UUID]) -> tuple[str, Any]:
    """A condition "column is one of these ids" with exactly one parameter, however many ids there are."""
    if _postgres():
        return f"{column} = ANY(%s::uuid[])", link().array("uuid", list(ids))
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps([i.hex for i in ids])


def id_rows(alias: str, names: Sequence[str], rows: Sequence[tuple[UUID, ...]]) -> tuple[str, list[Any]]:
    """A FROM clause that yields rows of ids under these names, and ``at``, their number from 1; its parameters.

    A column with one id in all rows is sent once.
    """
    if _postgres():
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        once = {name: ids[0] for name, ids in columns.items() if name != names[0] and same(ids)}
        many = {name: link().array("uuid", ids) for name, ids in columns.items() if name not in once}
        picked = "".join(f", %s::uuid AS {name}" for name in once)
        arrays = ", ".join(["%s::uuid[]"] * len(many))
        source = f"unnest({arrays}) WITH ORDINALITY AS v({', '.join(many)}, at)"
        return f"(SELECT v.*{picked} FROM {source}) AS {alias}", [*once.values(), *many.values()]
    picked = ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(names))
    data = json.dumps([[value.hex for value in row] for row in rows])
    return f"(SELECT key + 1 AS at, {picked} FROM json_each(%s)) AS {alias}", [data]


def key(value: UUID) -> Any:
    """One id as a parameter."""
    return value if _postgres() else value.hex


def stamp(value: datetime) -> Any:
    """One moment as a parameter."""
    return value if _postgres() else connection.ops.adapt_datetimefield_value(value)


def _when(value: datetime | str | None) -> datetime | None:
    """SQLite's columns come as naive moments, what was computed from them as text; both are UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return None if value is None else value.replace(tzinfo=UTC)


def _uuid(value: str | None) -> UUID | None:
    return None if value is None else from_hex(value)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_READ_SQLITE: dict[str, Callable[[Any], Any]] = {"u": _uuid, "t": _when, "j": _json, "b": bool}
_READ_POSTGRES: dict[str, Callable[[Any], Any]] = {"j": _json}


Rows = list[tuple[Any, ...]]


def ask(sql: str, params: Sequence[Any], kinds: str) -> Callable[[], Rows]:
    """Begin one SELECT; what is returned waits for its rows. On PostgreSQL, what is asked in a row travels together.

    ``kinds`` has a letter per column: u uuid, t time, j JSON, b bool, anything else as it comes.
    """
    if _postgres():
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


@lru_cache(maxsize=256)
def _columns(model: type[models.Model], names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(quoted column, PostgreSQL type, kind letter) of each named attribute."""
    quote = connection.ops.quote_name
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    found = []
    for name in names:
        field = by_name[name]
        internal = (field.target_field if isinstance(field, models.ForeignKey) else field).get_internal_type()
        db_type, letter = {
            "UUIDField": ("uuid", "u"),
            "DateTimeField": ("timestamptz", "t"),
            "JSONField": ("jsonb", "j"),
            "BooleanField": ("boolean", "i"),
        }.get(str(internal), ("bigint", "i") if "Integer" in internal else ("text", "s"))
        found.append((quote(str(field.column)), db_type, letter))
    return found


def _adapt(letter: str, values: Sequence[Any]) -> list[Any]:
    """One column of Python values as the database wants them. The same JSON object is encoded once per call."""
    if letter == "j":
        texts: dict[int, str] = {}
        for value in values:
            if id(value) not in texts:
                texts[id(value)] = json.dumps(value)
        return [texts[id(value)] for value in values]
    if letter == "t" and not _postgres():
        seen: dict[Any, Any] = {None: None}
        for value in values:
            if value not in seen:
                seen[value] = stamp(value)
        return [seen[value] for value in values]
    if letter == "u" and not _postgres():
        if same(values):
            return [None if values[0] is None else values[0].hex] * len(values)
        return [None if value is None else value.hex for value in values]
    return list(values)


def same(values: Sequence[Any]) -> bool:
    """Whether a column has one value, the very same object, in all rows. Comparing UUIDs costs more than it saves."""
    return all(map(is_, values, repeat(values[0])))


def _source(columns: list[tuple[str, str, str]], data: list[list[Any]]) -> tuple[list[str], str, list[Any]]:
    """PostgreSQL: expressions of the columns, the FROM clause that yields them, parameters in their order.

    A column with one value in all rows is sent once: most columns of a batch of claims are like that.
    """
    expressions: list[str] = []
    constants: list[Any] = []
    arrays: list[str] = []
    sent: list[Any] = []
    for at, ((_, db_type, letter), values) in enumerate(zip(columns, data, strict=True)):
        if at and (same(values) or (letter != "u" and values.count(values[0]) == len(values))):
            expressions.append(f"%s::{db_type}")
            constants.append(values[0])
        else:
            arrays.append(f"%s::{db_type}[]")
            sent.append(link().array(db_type, values))
            expressions.append(f"v.a{len(arrays)}")
    names = ", ".join(f"a{at}" for at in range(1, len(arrays) + 1))
    return expressions, f"unnest({', '.join(arrays)}) AS v({names})", [*constants, *sent]


def insert_rows(model: type[models.Model], names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    """One INSERT for many rows."""
    if not rows:
        return
    columns = _columns(model, tuple(names))
    data = [
        _adapt(letter, values)
        for (_, _, letter), values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    table = connection.ops.quote_name(model._meta.db_table)
    listed = ", ".join(column for column, _, _ in columns)
    if _postgres():
        values, source, params = _source(columns, data)
        link().write(f"INSERT INTO {table} ({listed}) SELECT {', '.join(values)} FROM {source}", params)
        return
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({listed}) VALUES ({marks})", list(zip(*data, strict=True)))


def update_rows(
    model: type[models.Model], sets: Sequence[str], guards: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    """One UPDATE for many rows ``(id, new values…, expected old values…)``.

    Raises `Conflict` when a row is missing or does not hold the expected old values: at once or, on PostgreSQL, with
    the next answer, at the latest before the COMMIT.
    """
    if not rows:
        return
    columns = _columns(model, ("id", *sets, *guards))
    data = [
        _adapt(letter, values)
        for (_, _, letter), values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    table = connection.ops.quote_name(model._meta.db_table)
    new, old = columns[1 : 1 + len(sets)], columns[1 + len(sets) :]

    def conflict() -> Conflict:
        return Conflict(f"{model._meta.label}: not all of {len(rows)} rows were as they were read")

    if _postgres():
        values, source, params = _source(columns, data)
        # every expression once, in the order of the columns: parameters are positional
        inner = ", ".join(f"{value} AS v{at}" for at, value in enumerate(values))
        assign = ", ".join(f"{column} = w.v{at}" for at, (column, _, _) in enumerate(new, 1))
        guard = "".join(
            f" AND t.{column} IS NOT DISTINCT FROM w.v{at}"
            for at, (column, _, _) in enumerate(old, 1 + len(new))
        )
        sql = f"UPDATE {table} AS t SET {assign} FROM (SELECT {inner} FROM {source}) AS w WHERE t.id = w.v0{guard}"
        link().write(sql, params, must=len(rows), otherwise=conflict)
        return
    assign = ", ".join(f"{column} = %s" for column, _, _ in new)
    guard = "".join(f" AND {column} IS %s" for column, _, _ in old)
    order = [*data[1 : 1 + len(sets)], data[0], *data[1 + len(sets) :]]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET {assign} WHERE id = %s{guard}", list(zip(*order, strict=True))
        )
        if cursor.rowcount != len(rows):
            raise conflict()


def lock_rows(model: type[models.Model], ids: Iterable[UUID]) -> None:
    """Lock rows in the order of their ids until the transaction ends. Nothing on SQLite: BEGIN IMMEDIATE did it.

    What is asked afterwards is answered when they are locked.
    """
    if _postgres():
        condition, param = any_of("id", ids)
        table = connection.ops.quote_name(model._meta.db_table)
        link().ask(f"SELECT id FROM {table} WHERE {condition} ORDER BY id FOR NO KEY UPDATE", [param])


def settle() -> None:
    """Wait for every write on its way. Raises what it raised: inside of the block that it is to fail."""
    if _postgres():
        link().settle()
