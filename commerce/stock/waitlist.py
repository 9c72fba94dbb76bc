# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""The waiting lists of a batch's pools, in memory: first in, first out, nobody overtakes."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from commerce.errors import Conflict
from commerce.ids import new_id, pair
from commerce.sql import Insert, any_of, fetch, key, update_rows
from commerce.stock.models import Waiting

HEADS = 200
"""How many waiting people of one pool are looked at per batch."""

_NAMES = (
    "id", "shop_id", "pool_id", "offer_id", "order_id", "buyer_id", "placed_by_id", "qty", "rank", "state", "line_id",
    "terms", "created_at", "ended_at",
)  # fmt: skip
_COLUMNS = ", ".join(_NAMES)
_KINDS = "uuuuuuuiisustt"


class Entry:
    """One place in a waiting list; ``terms`` is the snapshot of the claim, still text when it came from a table."""

    __slots__ = (
        "buyer", "created_at", "ended_at", "id", "line_id", "offer_id", "order_id", "placed_by", "pool_id", "qty",
        "rank", "shop_id", "state", "terms", "was",
    )  # fmt: skip

    def __init__(self, row: Sequence[Any], fresh: bool) -> None:
        (
            self.id, self.shop_id, self.pool_id, self.offer_id, self.order_id, self.buyer, self.placed_by, self.qty,
            self.rank, self.state, self.line_id, self.terms, self.created_at, self.ended_at,
        ) = row  # fmt: skip
        self.was: tuple[Any, ...] | None = None if fresh else self._changing()

    def _changing(self) -> tuple[Any, ...]:
        return (self.order_id, self.qty, self.state, self.line_id, self.ended_at)

    def snapshot(self) -> dict[str, Any]:
        if isinstance(self.terms, str):
            self.terms = json.loads(self.terms)
        found: dict[str, Any] = self.terms
        return found

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.shop_id, self.pool_id, self.offer_id, self.order_id, self.buyer, self.placed_by, self.qty,
            self.rank, self.state, self.line_id, self.snapshot(), self.created_at, self.ended_at,
        )  # fmt: skip


class WaitList:
    """What a `StockBook` knows of those who wait. The pools' own ``waiting`` counts are kept by the book."""

    def __init__(self) -> None:
        self.entries: dict[UUID, Entry] = {}
        # by `pair` of the person and the pool
        self._places: dict[tuple[int, int], list[Entry]] = {}
        self._queues: dict[UUID, deque[Entry]] = {}
        self._partly: set[UUID] = set()
        self._fresh: list[Entry] = []
        self._ended_lines: dict[str, list[UUID]] = {}

    def load_heads(self, pools: dict[UUID, int]) -> None:
        """The first `HEADS` entries of each pool, in their order. ``pools``: id → how many wait there in all."""
        ids = [pool for pool, waiting in pools.items() if waiting]
        one = (
            f"SELECT * FROM (SELECT {_COLUMNS} FROM commerce_waiting WHERE pool_id = %s AND state = 'waiting' "
            f"ORDER BY rank LIMIT {HEADS}) AS head"
        )
        for at in range(0, len(ids), 100):
            some = ids[at : at + 100]
            rows = fetch(" UNION ALL ".join([one] * len(some)), [key(pool) for pool in some], _KINDS)
            for row in sorted(rows, key=lambda row: row[8]):
                entry = self._known(row)
                self._queues.setdefault(entry.pool_id, deque()).append(entry)
        for pool in ids:
            if len(self._queues.get(pool, ())) < pools[pool]:
                self._partly.add(pool)

    def not_loaded(self, pool_id: UUID) -> None:
        """This pool's waiting people were left in the table: nobody new may stand at the head."""
        self._partly.add(pool_id)

    def load_of(self, orders: Iterable[UUID]) -> None:
        """The waiting entries of some orders, wherever in the list they stand. Their pools are locked."""
        condition, param = any_of("order_id", orders)
        sql = f"SELECT {_COLUMNS} FROM commerce_waiting WHERE {condition} AND state = 'waiting'"
        for row in fetch(sql, [param], _KINDS):
            self._known(row)

    def load_places(self, people: Collection[tuple[UUID, UUID, UUID]]) -> None:
        """Where in the lists of locked pools some people stand: (buyer, shop, pool), however far back.

        One index look-up per person and shop: for a set of people PostgreSQL would read all that wait, as long as its
        statistics know nothing of them.
        """
        wanted = {pair(buyer, pool) for buyer, _, pool in people}
        asked = list({pair(buyer, shop): (buyer, shop) for buyer, shop, _ in people}.values())
        one = f"SELECT {_COLUMNS} FROM commerce_waiting WHERE buyer_id = %s AND shop_id = %s AND state = 'waiting'"
        for at in range(0, len(asked), 100):
            some = asked[at : at + 100]
            params = [key(value) for pairs in some for value in pairs]
            for row in fetch(" UNION ALL ".join([one] * len(some)), params, _KINDS):
                if pair(row[5], row[2]) in wanted:
                    self._known(row)

    def places(self, buyer: UUID, pool_id: UUID) -> list[Entry]:
        """What of one pool this person waits for, as far as it was loaded."""
        return [entry for entry in self._places.get(pair(buyer, pool_id), ()) if entry.state == "waiting"]

    def _known(self, row: tuple[Any, ...]) -> Entry:
        entry = self.entries.get(row[0])
        if entry is None:
            entry = self._keep(Entry(row, fresh=False))
        return entry

    def _keep(self, entry: Entry) -> Entry:
        self.entries[entry.id] = entry
        self._places.setdefault(pair(entry.buyer, entry.pool_id), []).append(entry)
        return entry

    def head(self, pool_id: UUID) -> Entry | None:
        """Who is next; None when nobody waits, or when more wait in the table than were loaded."""
        queue = self._queues.get(pool_id)
        while queue:
            if queue[0].state == "waiting":
                return queue[0]
            queue.popleft()
        return None

    def add(self, row: Sequence[Any]) -> Entry:
        """A new entry at the end of its pool's list."""
        entry = self._keep(Entry(row, fresh=True))
        self._fresh.append(entry)
        if entry.pool_id not in self._partly:
            self._queues.setdefault(entry.pool_id, deque()).append(entry)
        return entry

    def offered(self, entry: Entry, qty: int, line_id: UUID) -> bool:
        """The turn has come for ``qty`` of the entry's units. True when the entry waits for nothing more."""
        if qty < entry.qty:
            entry.qty -= qty
            row = list(entry.row())
            row[0], row[7], row[9], row[10], row[13] = new_id(), qty, "offered", line_id, None
            self._fresh.append(Entry(row, fresh=True))
            return False
        entry.state, entry.line_id = "offered", line_id
        return True

    def line_ended(self, line_id: UUID, state: str) -> None:
        """The line that was held when a turn came has ended: ``taken``, ``passed`` or ``gone``."""
        for entry in self._fresh:
            if entry.line_id == line_id:
                entry.state = state
                return
        for entry in self.entries.values():
            if entry.line_id == line_id:
                entry.state = state
                return
        self._ended_lines.setdefault(state, []).append(line_id)

    def write(self, now: datetime, insert: Insert) -> None:
        if self._fresh:
            insert(Waiting, _NAMES, [entry.row() for entry in self._fresh])
        changed = [
            (entry.id, *entry._changing(), *entry.was[:3])
            for entry in self.entries.values()
            if entry.was is not None and entry.was != entry._changing()
        ]
        update_rows(
            Waiting,
            ("order_id", "qty", "state", "line_id", "ended_at"),
            ("order_id", "qty", "state"),
            changed,
        )
        for state, lines in self._ended_lines.items():
            ended = Waiting.objects.filter(line_id__in=lines, state="offered").update(
                state=state, ended_at=now
            )
            if ended != len(lines):
                raise Conflict(f"{ended} of {len(lines)} turns were still open")
