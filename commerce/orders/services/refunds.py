"""Refunds after payment: part or whole, stock returns exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from commerce.errors import Refused
from commerce.ids import pair
from commerce.money import share
from commerce.orders import errors
from commerce.orders.models import Order
from commerce.orders.rows import MISMATCH, OrderRow
from commerce.orders.services.payments import Payments
from commerce.orders.types import RefundDue
from commerce.sql import any_of, fetch
from commerce.stock.services import StockBook

_CURRENCIES = """
SELECT r.id, e.currency FROM commerce_refund r JOIN commerce_paymentevent e
    ON e.attempt_id = r.attempt_id AND e.amount_minor = r.amount_minor AND e.received_at = r.created_at
WHERE r.reason = %s AND
"""


class Refunds(Payments):
    def __init__(self, stock: StockBook) -> None:
        super().__init__(stock)
        # of refunds of money that did not fit; all others are in their order's
        self._currencies: dict[UUID, str] = {}

    def _load_payments(self) -> None:
        super()._load_payments()
        if self._want_refunds:
            condition, param = any_of("r.id", self._want_refunds)
            self._currencies = dict(fetch(_CURRENCIES + condition, [MISMATCH, param], "us"))

    def refund(
        self,
        *,
        order_id: UUID,
        shop_id: UUID,
        actor: UUID | None,
        lines: Mapping[UUID, int] | None = None,
        amount_minor: int | None = None,
        reason: str = "",
        restock: bool = True,
        cancel: bool = False,
    ) -> list[RefundDue]:
        """Pay back units of a paid order, or an amount without units, or (neither given) everything that is left.

        For units the amount is their price less their share of the order's discounts; the last unit brings what is
        left of the goods, "everything" also shipping and fees. ``restock=False`` writes the units off.
        ``cancel`` closes the order as cancelled; only with everything.
        """
        order = self.order(order_id, shop_id=shop_id)
        self._in_state(order, Order.State.PAID)
        left = order.paid_minor - order.refunded_minor
        whole = lines is None and amount_minor is None
        units = (
            {line.id: line.live for line in order.lines if line.state == "paid"}
            if whole
            else dict(lines or {})
        )
        for line_id, qty in units.items():
            line = self.line(line_id, shop_id=shop_id)
            if line.order_id != order.id or line.state != "paid":
                raise Refused(errors.LINE_ENDED, state=line.state)
            if type(qty) is not int or not 1 <= qty <= line.live:
                raise Refused(errors.LINE_QUANTITY, live=line.live)
        if amount_minor is not None:
            if type(amount_minor) is not int or amount_minor < 0:
                raise Refused(errors.REFUND_EMPTY)
            amount = amount_minor
        else:
            amount = left if whole else min(left, self._worth(order, units))
        if amount > left:
            raise Refused(errors.REFUND_TOO_MUCH, left=left)
        if not units and amount == 0:
            raise Refused(errors.REFUND_EMPTY)

        for line_id, qty in units.items():
            line = self.lines[line_id]
            line.qty_refunded += qty
            if line.live == 0:
                line.state = "refunded"
            used = pair(line.buyer_id, line.offer_id)
            if used in self._used:
                self._used[used] -= qty
            self._tell_line("line.refunded", line, qty=qty)
        if reason == MISMATCH:
            # what people type must not read as money that never counted
            reason = ""
        refunds = self._pay_back(
            order, amount, reason or "refund", [[str(i), q] for i, q in units.items()], actor
        )
        if whole and cancel:
            order.state = Order.State.CANCELLED
            self._tell_order("order.cancelled", order)
        self._set_payment_state(order)
        for line_id, qty in units.items():
            line = self.lines[line_id]
            self.stock.unsell(
                pool_id=line.pool_id, qty=qty, line_id=line_id, restock=restock, actor=actor, reason="refund"
            )
        return refunds

    def _worth(self, order: OrderRow, units: Mapping[UUID, int]) -> int:
        """What these units brought: their price less their share of the discounts, exact over all refunds together."""
        sold = [line for line in order.lines if line.placed and line.state in ("paid", "refunded")]
        goods = sum(line.unit_price_minor * (line.qty - line.qty_cancelled) for line in sold)
        back = sum(line.unit_price_minor * line.qty_refunded for line in sold)
        now = sum(self.lines[line_id].unit_price_minor * qty for line_id, qty in units.items())
        brought = max(0, goods + order.discount_minor)
        return share(brought, back + now, goods) - share(brought, back, goods)

    def _pay_back(
        self, order: OrderRow, amount: int, reason: str, lines: list[list[object]], actor: UUID | None
    ) -> list[RefundDue]:
        """Through the attempts that brought the money, the newest first."""
        refunds = []
        for attempt in reversed(order.attempts):
            if amount and attempt.state == "succeeded":
                part = min(amount, attempt.amount_minor - attempt.refunded_minor)
                if part > 0:
                    refunds.append(self._owe(order, attempt, part, reason, lines, actor))
                    amount -= part
        return refunds

    def refund_settled(self, *, refund_id: UUID, ok: bool) -> bool:
        """The gateway has paid back, or could not. False when that was known. A failed one may still succeed later."""
        row = self._refund_rows.get(refund_id)
        if row is None:
            raise Refused(errors.ATTEMPT_UNKNOWN)
        state = "done" if ok else "failed"
        if row[3] == state or row[3] == "done":
            return False
        row[3], row[5] = state, self.now
        order = self.orders[self.attempts[row[1]].order_id]
        self._tell_order("refund.settled", order, refund=refund_id, amount_minor=row[2], ok=ok)
        return True

    def order_of_refund(self, *, refund_id: UUID, shop_id: UUID) -> OrderRow:
        """The order whose money goes back, for the staff of its shop."""
        row = self._refund_rows.get(refund_id)
        order = self.orders[self.attempts[row[1]].order_id] if row is not None else None
        if order is None or order.shop_id != shop_id:
            raise Refused(errors.REFUND_UNKNOWN)
        return order

    def settle_refund(self, *, refund_id: UUID, shop_id: UUID, outcome: str) -> RefundDue:
        """Staff have paid it back by hand (``done``), or want the gateway to be asked once more (``again``).

        By hand only where no gateway will do it, or where it has said that it cannot: else it would go back twice.
        The caller passes what is to be done ``again`` on to the gateway, which knows a refund by its id.
        """
        order, row = self.order_of_refund(refund_id=refund_id, shop_id=shop_id), self._refund_rows[refund_id]
        attempt = self.attempts[row[1]]
        state, by_hand = row[3], attempt.gateway == "manual"
        if state == "done" or (outcome == "done" and state == "due" and not by_hand):
            raise Refused(errors.REFUND_STATE, state=str(state))
        if outcome == "done":
            self.refund_settled(refund_id=refund_id, ok=True)
        elif by_hand:
            raise Refused(errors.REFUND_BY_HAND)
        else:
            row[3], row[5] = "due", None
            self._tell_order("order.changed", order)
        currency = self._currencies.get(refund_id, order.currency)
        return RefundDue(refund_id, attempt.id, order.id, attempt.gateway, row[2], currency, "")
