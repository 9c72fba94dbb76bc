# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""Orders, lines and attempts as a batch sees them, with the state they were read in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from commerce.sql import Rows, any_of, ask, fetch

LINE = (
    "id", "shop_id", "order_id", "buyer_id", "offer_id", "variant_id", "pool_id", "qty", "qty_cancelled",
    "qty_refunded", "unit_price_minor", "currency", "title", "state", "hold_until", "extended", "turn", "placed",
    "placed_by_id", "terms", "created_at", "ended_at",
)  # fmt: skip
LINE_SETS = ("qty_cancelled", "qty_refunded", "state", "hold_until", "extended", "placed", "ended_at")
LINE_GUARDS = ("qty_cancelled", "qty_refunded", "state", "hold_until")

ORDER_SETS = (
    "number", "state", "payment_state", "fulfilment_state", "delivery_kind", "delivery_option_id", "total_minor",
    "paid_minor", "refunded_minor", "note", "placed_at", "paid_at",
)  # fmt: skip
ORDER_GUARDS = ("state", "payment_state", "fulfilment_state", "paid_minor", "refunded_minor")
_ORDER = ("id", "shop_id", "buyer_id", "scope_id", "origin_stream", "currency", "created_at", *ORDER_SETS)

ATTEMPT = (
    "id", "shop_id", "order_id", "gateway", "method", "amount_minor", "currency", "state", "provider_ref", "reference",
    "flagged", "deadline", "created_at", "settled_at",
)  # fmt: skip
MISMATCH = "payment.mismatch"
"""Reason of refunds for money that never counted as paid for the order."""

ATTEMPT_SETS = ("state", "provider_ref", "flagged", "settled_at")


class LineRow:
    """A line; ``live`` is the number of its units that still count."""

    __slots__ = (
        "buyer_id",
        "created_at",
        "currency",
        "ended_at",
        "extended",
        "hold_until",
        "id",
        "offer_id",
        "order_id",
        "origin_stream",
        "placed",
        "placed_by_id",
        "pool_id",
        "qty",
        "qty_cancelled",
        "qty_refunded",
        "scope_id",
        "shop_id",
        "state",
        "terms",
        "title",
        "turn",
        "unit_price_minor",
        "variant_id",
        "was",
    )  # fmt: skip

    def __init__(self, row: tuple[Any, ...], origin_stream: UUID, scope_id: UUID, fresh: bool) -> None:
        (
            self.id, self.shop_id, self.order_id, self.buyer_id, self.offer_id, self.variant_id, self.pool_id,
            self.qty, self.qty_cancelled, self.qty_refunded, self.unit_price_minor, self.currency, self.title,
            self.state, self.hold_until, self.extended, self.turn, self.placed, self.placed_by_id, self.terms,
            self.created_at, self.ended_at,
        ) = row  # fmt: skip
        self.origin_stream = origin_stream
        self.scope_id = scope_id
        self.was: tuple[Any, ...] | None = None if fresh else self.changing()

    @property
    def live(self) -> int:
        live: int = self.qty - self.qty_cancelled - self.qty_refunded
        return live

    @property
    def snapshot(self) -> dict[str, Any]:
        if isinstance(self.terms, str):
            self.terms = json.loads(self.terms)
        found: dict[str, Any] = self.terms
        return found

    def changing(self) -> tuple[Any, ...]:
        return (
            self.qty_cancelled, self.qty_refunded, self.state, self.hold_until, self.extended, self.placed,
            self.ended_at,
        )  # fmt: skip

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.shop_id, self.order_id, self.buyer_id, self.offer_id, self.variant_id, self.pool_id,
            self.qty, self.qty_cancelled, self.qty_refunded, self.unit_price_minor, self.currency, self.title,
            self.state, self.hold_until, self.extended, self.turn, self.placed, self.placed_by_id, self.snapshot,
            self.created_at, self.ended_at,
        )  # fmt: skip


class OrderRow:
    """An order with its lines, the sum of its adjustments and its attempts."""

    __slots__ = (*_ORDER, "added_minor", "attempts", "discount_minor", "lines", "was")

    def __init__(self, row: tuple[Any, ...]) -> None:
        (
            self.id, self.shop_id, self.buyer_id, self.scope_id, self.origin_stream, self.currency, self.created_at,
            self.number, self.state, self.payment_state, self.fulfilment_state, self.delivery_kind,
            self.delivery_option_id, self.total_minor, self.paid_minor, self.refunded_minor, self.note,
            self.placed_at, self.paid_at,
        ) = row  # fmt: skip
        self.added_minor = 0
        self.discount_minor = 0
        self.lines: list[LineRow] = []
        self.attempts: list[AttemptRow] = []
        self.was: tuple[Any, ...] = self.changing()

    def changing(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in ORDER_SETS)

    def guard(self) -> tuple[Any, ...]:
        return tuple(self.was[ORDER_SETS.index(name)] for name in ORDER_GUARDS)

    def goods(self, *states: str) -> int:
        """What the agreed lines in these states cost, in minor units."""
        return sum(
            line.unit_price_minor * line.live for line in self.lines if line.placed and line.state in states
        )

    def total(self, *states: str) -> int:
        """Goods, less discounts but never below nothing, plus shipping, tax and fees."""
        return max(0, self.goods(*states) + self.discount_minor) + self.added_minor


class AttemptRow:
    """An attempt and how much of it goes back already."""

    __slots__ = (*ATTEMPT, "events", "refunded_minor", "was")

    def __init__(self, row: tuple[Any, ...], fresh: bool) -> None:
        (
            self.id, self.shop_id, self.order_id, self.gateway, self.method, self.amount_minor, self.currency,
            self.state, self.provider_ref, self.reference, self.flagged, self.deadline, self.created_at,
            self.settled_at,
        ) = row  # fmt: skip
        self.refunded_minor = 0
        self.events: dict[str, dict[str, Any]] = {}
        self.was: tuple[Any, ...] | None = None if fresh else self.changing()

    @property
    def is_live(self) -> bool:
        return self.state in ("created", "pending")

    def changing(self) -> tuple[Any, ...]:
        return (self.state, self.provider_ref, self.flagged, self.settled_at)

    def row(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in ATTEMPT)


_LINE_SQL = (
    "SELECT "
    + ", ".join(f"l.{name}" for name in LINE)
    + ", o.origin_stream, o.scope_id FROM commerce_line l JOIN commerce_order o ON o.id = l.order_id WHERE "
)
_LINE_KINDS = "uuuuuuuiiiissstbbbustt"


def read_lines(where: str, params: list[Any]) -> list[LineRow]:
    """Lines (alias ``l``) with their orders' (alias ``o``) stream and scope."""
    rows = fetch(_LINE_SQL + where, params, _LINE_KINDS + "uu")
    return [LineRow(row[:-2], row[-2], row[-1], fresh=False) for row in rows]


def ask_due(pool_ids: list[Any], now: Any, limit: int) -> Callable[[], list[LineRow]]:
    """Held lines whose time is up, the oldest first, at most ``limit`` per pool. Parameters as `sql.key` makes them."""
    asked: list[Callable[[], Rows]] = []
    one = (
        f"SELECT * FROM ({_LINE_SQL}l.pool_id = %s AND l.state = 'held' AND l.hold_until <= %s "
        f"ORDER BY l.hold_until LIMIT {limit}) AS due"
    )
    for at in range(0, len(pool_ids), 100):
        some = pool_ids[at : at + 100]
        params = [value for pool_id in some for value in (pool_id, now)]
        asked.append(ask(" UNION ALL ".join([one] * len(some)), params, _LINE_KINDS + "uu"))
    return lambda: [LineRow(row[:-2], row[-2], row[-1], fresh=False) for rows in asked for row in rows()]


def read_orders(ids: Iterable[UUID]) -> list[OrderRow]:
    condition, param = any_of("id", ids)
    columns = ", ".join(_ORDER)
    rows = fetch(f"SELECT {columns} FROM commerce_order WHERE {condition}", [param], "uuuuustissssuiiistt")
    return [OrderRow(row) for row in rows]


def read_attempts(order_ids: Iterable[UUID]) -> list[AttemptRow]:
    """The attempts of some orders, the oldest first."""
    condition, param = any_of("order_id", order_ids)
    sql = f"SELECT {', '.join(ATTEMPT)} FROM commerce_attempt WHERE {condition} ORDER BY id"
    return [AttemptRow(row, fresh=False) for row in fetch(sql, [param], "uuussissssbttt")]
