# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""Which orders a batch will decide about, and which pools that takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from commerce.ids import pair
from commerce.sql import any_of, fetch
from commerce.stock.services import StockBook


class Wants:
    """Collects what is wanted, command by command, and finds the rows behind it with a few set-based reads."""

    def __init__(self, stock: StockBook) -> None:
        self.stock = stock
        self._claims: dict[tuple[int, int], tuple[UUID, UUID, UUID, UUID]] = {}
        self._want_orders: set[UUID] = set()
        self._want_lines: set[UUID] = set()
        self._want_entries: set[UUID] = set()
        self._want_attempts: set[UUID] = set()
        self._want_refunds: set[UUID] = set()
        self._want_people: set[tuple[UUID, UUID, UUID | None]] = set()
        self._want_checkout = False
        stock.want_through(self._resolve)

    def want_claim(
        self, *, buyer: UUID, shop_id: UUID, scope_id: UUID, offer_id: UUID, pool_id: UUID
    ) -> None:
        """A claim of this buyer on this offer will be decided."""
        self._claims[pair(buyer, offer_id)] = (buyer, shop_id, scope_id, offer_id)
        self.stock.want(pool_id, may_free=False)

    def want_order(self, *order_ids: UUID) -> None:
        """Orders with all their lines, waiting places, adjustments and attempts."""
        self._want_orders.update(order_ids)

    def want_checkout(self, *order_ids: UUID) -> None:
        """Orders that will be placed or whose delivery will be chosen, with the shop's counter and delivery options."""
        self._want_orders.update(order_ids)
        self._want_checkout = True

    def want_lines(self, *line_ids: UUID) -> None:
        """Lines, and with them their whole orders."""
        self._want_lines.update(line_ids)

    def want_entries(self, *entry_ids: UUID) -> None:
        """Waiting places, and with them their whole orders."""
        self._want_entries.update(entry_ids)

    def want_payment(self, *attempt_ids: UUID) -> None:
        """Attempts, and with them their whole orders."""
        self._want_attempts.update(attempt_ids)

    def want_refunds(self, *refund_ids: UUID) -> None:
        """Refunds that a gateway has answered, with their orders."""
        self._want_refunds.update(refund_ids)

    def want_person(self, *, buyer: UUID, shop_id: UUID, scope_id: UUID | None = None) -> None:
        """All unpaid holds and waiting places of a person in a shop, or only in one sale of it."""
        self._want_people.add((buyer, shop_id, scope_id))

    def want_pool_holds(self, *pool_ids: UUID) -> None:
        """Pools whose due holds lapse and whose waiting people are served, which ``load`` does by itself."""
        self.stock.want(*pool_ids)

    def _resolve(self) -> None:
        """Find the orders and pools behind the ids that were wanted; none of these facts ever changes."""
        found: list[str] = []
        params: list[Any] = []
        for ids, column, table in (
            (self._want_lines, "id", "commerce_line"),
            (self._want_entries, "id", "commerce_waiting"),
            (self._want_attempts, "id", "commerce_attempt"),
        ):
            if ids:
                condition, param = any_of(column, ids)
                found.append(f"SELECT order_id FROM {table} WHERE {condition}")
                params.append(param)
        if self._want_refunds:
            condition, param = any_of("r.id", self._want_refunds)
            found.append(
                "SELECT a.order_id FROM commerce_refund r JOIN commerce_attempt a ON a.id = r.attempt_id "
                f"WHERE {condition}"
            )
            params.append(param)
        if self._want_people:
            condition, param = any_of("buyer_id", {buyer for buyer, _, _ in self._want_people})
            shops, shop_param = any_of("shop_id", {shop for _, shop, _ in self._want_people})
            for table, live in (("commerce_line", "held"), ("commerce_waiting", "waiting")):
                found.append(
                    f"SELECT order_id FROM {table} WHERE {condition} AND {shops} AND state = '{live}'"
                )
                params += [param, shop_param]
        if found:
            self._want_orders.update(row[0] for row in fetch(" UNION ".join(found), params, "u"))
        if self._want_orders:
            condition, param = any_of("order_id", self._want_orders)
            rows = fetch(
                f"SELECT pool_id FROM commerce_line WHERE {condition} "
                f"UNION SELECT pool_id FROM commerce_waiting WHERE {condition} AND state = 'waiting'",
                [param, param],
                "u",
            )
            self.stock.want(*(pool for (pool,) in rows))
