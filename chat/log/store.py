"""The log's own statements, one per table and batch. The only module with SQL of the log's hot path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from django.db import connection, models

from chat.log.batch import Head, Promise, Request, encode
from chat.log.models import Outbox, Receipt, StreamHead


def _is_postgres() -> bool:
    return connection.vendor == "postgresql"


# --- inserting ----------------------------------------------------------------------------------------------------


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _json_texts(values: Sequence[Any]) -> list[str | None]:
    return [None if v is None else encode(v).decode() for v in values]


def _uuid_hexes(values: Sequence[Any]) -> list[str | None]:
    return [None if v is None else v.hex for v in values]


def _naive_texts(values: Sequence[Any]) -> list[str | None]:
    return [None if v is None else str(v.astimezone(UTC).replace(tzinfo=None)) for v in values]


@cache
def _insert_plan(
    model: type[models.Model], names: tuple[str, ...], vendor: str, ignore: bool
) -> tuple[str, list[Callable[[Sequence[Any]], Sequence[Any]]]]:
    fields = [cast("models.Field[Any, Any]", model._meta.get_field(name)) for name in names]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(f.column)) for f in fields)
    table = quote(model._meta.db_table)
    converters: list[Callable[[Sequence[Any]], Sequence[Any]]] = []
    for f in fields:
        target = f.target_field if isinstance(f, models.ForeignKey) else f
        if isinstance(target, models.JSONField):
            converters.append(_json_texts)
        elif vendor != "postgresql" and isinstance(target, models.UUIDField):
            converters.append(_uuid_hexes)
        elif vendor != "postgresql" and isinstance(target, models.DateTimeField):
            converters.append(_naive_texts)
        else:
            converters.append(_plain)
    if vendor == "postgresql":
        # one array per column; jsonb travels as text, because arrays of jsonb would be parsed twice
        arrays = []
        picks = []
        for i, f in enumerate(fields):
            db_type = str(f.db_type(connection)).split("(")[0]
            is_json = db_type == "jsonb"
            arrays.append(f"%s::{'text' if is_json else db_type}[]")
            picks.append(f"c{i}::jsonb" if is_json else f"c{i}")
        aliases = ", ".join(f"c{i}" for i in range(len(fields)))
        sql = (
            f"INSERT INTO {table} ({columns}) SELECT {', '.join(picks)} "  # noqa: S608 - names from models only
            f"FROM unnest({', '.join(arrays)}) AS rows({aliases})"
        )
    else:
        sql = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
    if ignore:
        sql += " ON CONFLICT DO NOTHING"
    return sql, converters


def insert_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert many rows in one statement, without building model instances.

    `names` are field names (`shop` or `shop_id` alike). Values are Python values: UUID, aware datetime, int, str,
    bool, anything JSON for JSON fields.
    """
    if not rows:
        return
    vendor = connection.vendor
    sql, converters = _insert_plan(model, tuple(names), vendor, ignore_conflicts)
    columns = [
        list(convert(values)) for convert, values in zip(converters, zip(*rows, strict=True), strict=True)
    ]
    with connection.cursor() as cursor:
        if vendor == "postgresql":
            cursor.execute(sql, columns)
        else:
            cursor.executemany(sql, list(zip(*columns, strict=True)))


# --- heads --------------------------------------------------------------------------------------------------------

_HEADS = (
    "SELECT h.stream_id, h.seq, h.epoch, s.kind, s.tenant_id FROM stream_head h JOIN stream s ON s.id = h.stream_id "
    "WHERE h.stream_id "
)
_WAITING = "WITH waiting AS MATERIALIZED (SELECT set_config('lock_timeout', %s, true)) "


def lock_heads(
    stream_ids: Iterable[UUID], *, skip_locked: bool, lock_wait_ms: int | None = None
) -> dict[UUID, Head]:
    """Lock stream heads in id order and read them. With `skip_locked`, those that others hold are left out.

    `lock_wait_ms` bounds the wait for every lock that the transaction takes from here on.
    """
    ids = sorted(stream_ids)
    with connection.cursor() as cursor:
        if _is_postgres():
            sql = _HEADS + "= ANY(%s) ORDER BY h.stream_id FOR NO KEY UPDATE OF h"
            params: list[Any] = [ids]
            if lock_wait_ms is not None:
                # in the same round trip
                sql = _WAITING + sql.replace(" WHERE ", " CROSS JOIN waiting WHERE ")
                params.insert(0, f"{lock_wait_ms}ms")
            cursor.execute(sql + (" SKIP LOCKED" if skip_locked else ""), params)
            rows = cursor.fetchall()
        else:
            cursor.execute(
                _HEADS + "IN (SELECT value FROM json_each(%s))",  # noqa: S608 - no values in it
                [json.dumps([i.hex for i in ids])],
            )
            rows = [(UUID(a), b, c, d, UUID(e) if e else None) for a, b, c, d, e in cursor.fetchall()]
    return {row[0]: Head(*row[1:]) for row in rows}


def existing_streams(stream_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these streams exist, locked or not."""
    return set(StreamHead.objects.filter(stream_id__in=list(stream_ids)).values_list("stream_id", flat=True))


def write_heads(new_seqs: dict[UUID, int]) -> None:
    """Store the last number given of each locked stream."""
    if not new_seqs:
        return
    with connection.cursor() as cursor:
        if _is_postgres():
            cursor.execute(
                "UPDATE stream_head h SET seq = n.seq FROM unnest(%s::uuid[], %s::bigint[]) AS n(id, seq) "
                "WHERE h.stream_id = n.id",
                [list(new_seqs.keys()), list(new_seqs.values())],
            )
        else:
            cursor.executemany(
                "UPDATE stream_head SET seq = %s WHERE stream_id = %s",
                [(seq, stream_id.hex) for stream_id, seq in new_seqs.items()],
            )


# --- receipts -----------------------------------------------------------------------------------------------------


def find_receipts(requests: Sequence[Request]) -> dict[tuple[UUID, UUID], tuple[str, dict[str, Any]]]:
    """The stored answers of these requests: {(client id, actor): (fingerprint, answer)}."""
    if not requests:
        return {}
    ids = list({r.client_id for r in requests})
    with connection.cursor() as cursor:
        sql = "SELECT client_id, actor_id, fingerprint, answer FROM receipt WHERE client_id "
        if _is_postgres():
            cursor.execute(sql + "= ANY(%s)", [ids])
            return {
                (c, a): (f, json.loads(x) if isinstance(x, str) else x) for c, a, f, x in cursor.fetchall()
            }
        cursor.execute(
            sql + "IN (SELECT value FROM json_each(%s))",  # noqa: S608 - no values in it
            [json.dumps([i.hex for i in ids])],
        )
        return {(UUID(c), UUID(a)): (f, json.loads(x)) for c, a, f, x in cursor.fetchall()}


def write_receipts(requests: Sequence[Request], now: datetime) -> None:
    insert_rows(
        Receipt,
        ("client_id", "actor_id", "stream_id", "fingerprint", "answer", "at"),
        # sorted: two batches that carry the same ids must not wait for each other in a circle
        sorted(
            ((r.client_id, r.actor_id, r.stream_id, r.fingerprint, r.answer, now) for r in requests),
            key=lambda row: (row[0], row[1]),
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
            for p in sorted(promises, key=lambda p: p.id)
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
