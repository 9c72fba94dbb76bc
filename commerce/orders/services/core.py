# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""What every decision about orders shares: the rows, how they are locked, read and written, and the news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from commerce.errors import Refused
from commerce.ids import new_id, pair
from commerce.orders import errors
from commerce.orders.models import Adjustment, Contact, Line, Order
from commerce.orders.rows import (
    ATTEMPT,
    ATTEMPT_SETS,
    LINE,
    LINE_GUARDS,
    LINE_SETS,
    MISMATCH,
    ORDER_GUARDS,
    ORDER_SETS,
    AttemptRow,
    LineRow,
    OrderRow,
    ask_due,
    read_attempts,
    read_lines,
    read_orders,
)
from commerce.orders.services.wants import Wants
from commerce.orders.types import ClaimTerms, News
from commerce.payments.models import Attempt, PaymentEvent, Refund
from commerce.shops.models import ShopCounter
from commerce.sql import Insert, Rows, any_of, ask, fetch, id_rows, key, lock_rows, stamp, update_rows
from commerce.stock.services import BEFORE, PoolState, StockBook
from commerce.stock.waitlist import Entry

LAPSES = 200
"""How many holds of one pool lapse per batch."""

NEW_ORDER = ("id", "shop_id", "buyer_id", "scope_id", "origin_stream", "currency", "created_at")
CONTACT = ("name", "phone", "email", "street", "postcode", "city", "country")
_EVENT = (
    "id", "shop_id", "gateway", "event_id", "attempt_id", "kind", "amount_minor", "currency", "outcome", "received_at",
)  # fmt: skip
_REFUND = (
    "id",
    "shop_id",
    "attempt_id",
    "amount_minor",
    "reason",
    "lines",
    "actor_id",
    "created_at",
    "state",
)


class Core(Wants):
    """Rows and phases; the decisions are in the classes built on it."""

    rank: int = 30

    def __init__(self, stock: StockBook) -> None:
        super().__init__(stock)
        self.now: datetime = BEFORE
        self.news: list[News] = []
        self.orders: dict[UUID, OrderRow] = {}
        self.lines: dict[UUID, LineRow] = {}
        self.attempts: dict[UUID, AttemptRow] = {}
        # keys: `pair` of the buyer and the sale, the offer, the shop
        self._baskets: dict[tuple[int, int], UUID] = {}
        self._used: dict[tuple[int, int], int] = {}
        # what is held and what is waited for: a turn makes the one of the other
        self._unpaid: dict[tuple[int, int], int] = {}
        self._snapshots: dict[int, dict[str, Any]] = {}
        self._deadlines: dict[tuple[int, datetime], datetime] = {}
        self._kept: list[ClaimTerms] = []  # so that an id in the two above cannot be given to another object
        self._parsed: dict[str, ClaimTerms] = {}
        self._counters: dict[UUID, list[int]] = {}
        self._options: dict[UUID, tuple[Any, ...]] = {}
        self._contacts: dict[UUID, UUID] = {}
        self._refund_rows: dict[UUID, list[Any]] = {}
        self._more: set[UUID] = set()
        self._ended: dict[UUID, UUID] = {}
        # what is to be written
        self._new_orders: list[tuple[Any, ...]] = []
        self._new_lines: list[LineRow] = []
        self._new_adjustments: list[tuple[Any, ...]] = []
        self._new_events: list[tuple[Any, ...]] = []
        self._new_refunds: list[list[Any]] = []
        self._new_attempts: list[AttemptRow] = []
        self._new_contacts: dict[UUID, tuple[Any, ...]] = {}
        stock.when_freed(self._serve)

    # -- lock and load -----------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        if self._want_orders:
            lock_rows(Order, self._want_orders)
        if self._want_checkout:
            lock_rows(ShopCounter, self._counter_ids())
        return bool(self._want_orders)

    def _counter_ids(self) -> list[UUID]:
        condition, param = any_of("o.id", self._want_orders)
        rows = fetch(
            "SELECT DISTINCT c.id FROM commerce_shopcounter c JOIN commerce_order o ON o.shop_id = c.shop_id "
            f"WHERE {condition}",
            [param],
            "u",
        )
        return [row[0] for row in rows]

    def load(self, now: datetime) -> Iterator[None]:
        self.now = now
        if self._want_orders:
            self._load_orders()
        due_lines = ask_due([key(pool) for pool in self.stock.wanted], stamp(now), LAPSES)
        usage = self._ask_usage() if self._claims else None
        yield
        pools = self.stock.pools
        due = [self.lines.setdefault(line.id, line) for line in due_lines()]
        if usage is not None:
            self._load_usage(usage())
        busy = {line.pool_id for line in due} | self.stock.may_free
        busy |= {pools[pool].parent_id for pool in busy if pool in pools}
        heads = {}
        for pool in pools.values():
            if pool.waiting and (pool.id in busy or pool.free > 0 or pool.closed_at is not None):
                heads[pool.id] = pool.waiting
            elif pool.waiting:
                self.stock.waitlist.not_loaded(pool.id)
        self.stock.waitlist.load_heads(heads)
        self.stock.waitlist.load_places(
            {
                (line.buyer_id, line.shop_id, line.pool_id)
                for line in self.lines.values()
                if line.state == "held" and line.pool_id in pools and pools[line.pool_id].waiting
            }
        )
        # all of them before the first unit is free: nobody whose own hold is over is offered another's
        for line in due:
            self._let_go_of(line)
        counts: dict[UUID, int] = {}
        for line in due:
            counts[line.pool_id] = counts.get(line.pool_id, 0) + 1
            self._lapse(line)
        self._more.update(pool for pool, count in counts.items() if count >= LAPSES)
        for pool in list(pools.values()):
            self._serve(pool)

    def _load_orders(self) -> None:
        self.orders = {order.id: order for order in read_orders(self._want_orders)}
        condition, param = any_of("l.order_id", self._want_orders)
        for line in read_lines(condition, [param]):
            self.lines[line.id] = line
            self.orders[line.order_id].lines.append(line)
        self.stock.waitlist.load_of(self._want_orders)
        condition, param = any_of("order_id", self._want_orders)
        for order_id, added, discounted in fetch(
            "SELECT order_id, SUM(CASE WHEN amount_minor > 0 THEN amount_minor ELSE 0 END), "
            "SUM(CASE WHEN amount_minor < 0 THEN amount_minor ELSE 0 END) "
            f"FROM commerce_adjustment WHERE {condition} GROUP BY order_id",
            [param],
            "uii",
        ):
            order = self.orders[order_id]
            order.added_minor, order.discount_minor = int(added), int(discounted)
        for attempt in read_attempts(self._want_orders):
            self.attempts[attempt.id] = attempt
            self.orders[attempt.order_id].attempts.append(attempt)
        if self.attempts:
            self._load_payments()
        if self._want_checkout:
            self._load_checkout()

    def _load_payments(self) -> None:
        condition, param = any_of("attempt_id", self.attempts)
        for row in fetch(
            f"SELECT attempt_id, event_id, outcome FROM commerce_paymentevent WHERE {condition} ORDER BY id",
            [param],
            "usj",
        ):
            self.attempts[row[0]].events[row[1]] = row[2]
        for row in fetch(
            f"SELECT id, attempt_id, amount_minor, state, reason FROM commerce_refund WHERE {condition}",
            [param],
            "uuis",
        ):
            if row[4] != MISMATCH:
                self.attempts[row[1]].refunded_minor += row[2]
            self._refund_rows[row[0]] = [*row[:4], row[3], None]

    def _load_checkout(self) -> None:
        shops = {order.shop_id for order in self.orders.values()}
        condition, param = any_of("shop_id", shops)
        for shop, counter, number in fetch(
            f"SELECT shop_id, id, next_number FROM commerce_shopcounter WHERE {condition}", [param], "uui"
        ):
            self._counters[shop] = [counter, number, number]
        for row in fetch(
            "SELECT id, shop_id, kind, label, fee_minor, free_from_minor FROM commerce_deliveryoption "
            f"WHERE {condition} AND is_active",
            [param],
            "uussii",
        ):
            self._options[row[0]] = row
        condition, param = any_of("order_id", self._want_orders)
        self._contacts = dict(
            fetch(f"SELECT order_id, id FROM commerce_contact WHERE {condition}", [param], "uu")
        )

    def _ask_usage(self) -> Callable[[], Rows]:
        """Each claimant's open basket, and what they hold, have bought and wait for.

        One index look-up per claim and question. Conditions on the sale or the offer as a whole would leave PostgreSQL
        the choice to read all that was ordered so far: of something that new its statistics know nothing. `IS TRUE`
        keeps it from the index of the sale.
        """
        claims = list(self._claims.values())
        source, params = id_rows("c", ("buyer", "shop", "scope", "offer"), claims)
        live = "SUM(qty - qty_cancelled - qty_refunded)"
        return ask(
            "SELECT c.at, (SELECT id FROM commerce_order WHERE buyer_id = c.buyer AND state = 'open' "
            "AND (scope_id = c.scope) IS TRUE), "
            f"(SELECT {live} FROM commerce_line WHERE buyer_id = c.buyer AND shop_id = c.shop AND state = 'held'), "
            "(SELECT SUM(qty) FROM commerce_waiting WHERE buyer_id = c.buyer AND shop_id = c.shop "
            "AND state = 'waiting'), "
            f"(SELECT {live} FROM commerce_line WHERE buyer_id = c.buyer AND offer_id = c.offer "
            "AND state IN ('held', 'paid')), "
            "(SELECT SUM(qty) FROM commerce_waiting WHERE buyer_id = c.buyer AND shop_id = c.shop "
            f"AND offer_id = c.offer AND state = 'waiting') FROM {source}",
            params,
            "iuiiii",
        )

    def _load_usage(self, rows: Rows) -> None:
        claims = list(self._claims.values())
        for at, basket, held, queued, taken, waiting in rows:
            buyer, shop, scope, offer = claims[at - 1]
            if basket is not None:
                self._baskets[pair(buyer, scope)] = basket
            if held or queued:
                self._unpaid[pair(buyer, shop)] = int(held or 0) + int(queued or 0)
            self._used[pair(buyer, offer)] = int(taken or 0) + int(waiting or 0)

    # -- write -------------------------------------------------------------------------------------------------------

    def write(self, now: datetime, insert: Insert) -> None:
        # before the inserts: only one basket of a buyer and sale may be open
        update_rows(
            Order,
            ORDER_SETS,
            ORDER_GUARDS,
            [
                (order.id, *order.changing(), *order.guard())
                for order in self.orders.values()
                if order.was != order.changing()
            ],
        )
        if self._new_orders:
            insert(Order, NEW_ORDER, self._new_orders)
        if self._new_lines:
            insert(Line, LINE, [line.row() for line in self._new_lines])
        update_rows(
            Line,
            LINE_SETS,
            LINE_GUARDS,
            [
                (line.id, *line.changing(), *line.was[: len(LINE_GUARDS)])
                for line in self.lines.values()
                if line.was is not None and line.was != line.changing()
            ],
        )
        if self._new_adjustments:
            insert(
                Adjustment,
                ("id", "shop_id", "order_id", "kind", "label", "amount_minor"),
                self._new_adjustments,
            )
        self._write_contacts(insert)
        update_rows(
            ShopCounter,
            ("next_number",),
            ("next_number",),
            [(counter, new, old) for counter, new, old in self._counters.values() if new != old],
        )
        self._write_payments(now, insert)

    def _write_contacts(self, insert: Insert) -> None:
        fresh = [(new_id(), *row) for order, row in self._new_contacts.items() if order not in self._contacts]
        if fresh:
            insert(Contact, ("id", "shop_id", "order_id", *CONTACT), fresh)
        update_rows(
            Contact,
            CONTACT,
            (),
            [(self._contacts[o], *row[2:]) for o, row in self._new_contacts.items() if o in self._contacts],
        )

    def _write_payments(self, now: datetime, insert: Insert) -> None:
        changed = [
            (attempt.id, *attempt.changing(), attempt.was[0])
            for attempt in self.attempts.values()
            if attempt.was is not None and attempt.was != attempt.changing()
        ]
        # before the inserts: only one attempt of an order and gateway may be live
        update_rows(Attempt, ATTEMPT_SETS, ("state",), changed)
        if self._new_attempts:
            insert(Attempt, ATTEMPT, [attempt.row() for attempt in self._new_attempts])
        if self._new_events:
            insert(PaymentEvent, _EVENT, self._new_events)
        if self._new_refunds:
            insert(Refund, _REFUND, [tuple(row) for row in self._new_refunds])
        update_rows(
            Refund,
            ("state", "settled_at"),
            ("state",),
            [(row[0], row[3], row[5], row[4]) for row in self._refund_rows.values() if row[3] != row[4]],
        )

    # -- answers and helpers -----------------------------------------------------------------------------------------

    def more(self) -> set[UUID]:
        """Pools on which due holds or waiting people were left for the next batch."""
        left = {
            pool.id
            for pool in self.stock.pools.values()
            if pool.waiting and (pool.free > 0 or pool.closed_at is not None)
        }
        return self._more | left

    def ended_orders(self) -> dict[UUID, UUID]:
        """Placed orders that lost a hold here without being locked, and the streams where they were born.

        Whether anything is left of them is for a batch that locks them: see `Checkout.lapse_order`.
        """
        return self._ended

    def order(self, order_id: UUID, *, buyer: UUID | None = None, shop_id: UUID | None = None) -> OrderRow:
        """The order, for its buyer or for the staff of its shop."""
        order = self.orders.get(order_id)
        if order is None or not _may(order, buyer, shop_id):
            raise Refused(errors.ORDER_UNKNOWN)
        return order

    def line(self, line_id: UUID, *, buyer: UUID | None = None, shop_id: UUID | None = None) -> LineRow:
        """The line, for its buyer or for the staff of its shop."""
        line = self.lines.get(line_id)
        if line is None or not _may(line, buyer, shop_id):
            raise Refused(errors.LINE_UNKNOWN)
        return line

    def _tell_order(self, kind: str, order: OrderRow, **facts: Any) -> None:
        self.news.append(
            News(kind, order.buyer_id, order.shop_id, order.origin_stream, order.id, facts=facts),
        )

    def _tell_line(self, kind: str, line: LineRow, **facts: Any) -> None:
        self.news.append(
            News(
                kind, line.buyer_id, line.shop_id, line.origin_stream, line.order_id, line.id, line.offer_id,
                line.pool_id, facts,
            )
        )  # fmt: skip

    # -- what one group of decisions needs of another ----------------------------------------------------------------

    def _serve(self, pool: PoolState) -> None:
        raise NotImplementedError

    def _lapse(self, line: LineRow) -> None:
        raise NotImplementedError

    def _let_go_of(self, line: LineRow) -> None:
        raise NotImplementedError

    def _lapse_order(self, order: OrderRow) -> bool:
        raise NotImplementedError

    def _leave(self, entry: Entry, state: str, kind: str) -> None:
        raise NotImplementedError

    def _drop_line(self, line: LineRow, reason: str, actor: UUID | None) -> None:
        raise NotImplementedError

    def _after_cancel(self, line: LineRow) -> None:
        raise NotImplementedError

    def _sell_lines(self, order: OrderRow) -> None:
        raise NotImplementedError

    def _mark_paid(self, order: OrderRow) -> None:
        raise NotImplementedError


def _may(row: OrderRow | LineRow, buyer: UUID | None, shop_id: UUID | None) -> bool:
    if buyer is None and shop_id is None:
        raise TypeError("say who asks: buyer or shop_id")
    return (buyer is None or row.buyer_id == buyer) and (shop_id is None or row.shop_id == shop_id)
