"""Placing an order: from here on it has a number, a total and a place in the shop's list."""

from __future__ import annotations

from uuid import UUID

from commerce.errors import Conflict, Refused
from commerce.ids import new_id, pair
from commerce.orders import errors
from commerce.orders.models import Adjustment, Order
from commerce.orders.rows import OrderRow
from commerce.orders.services.basket import Baskets
from commerce.orders.services.claims import Claims
from commerce.orders.shipping import Spared, fee_for
from commerce.orders.types import News, Placed


class Checkout(Claims, Baskets):
    def checkout(self, *, order_id: UUID, buyer: UUID | None = None, shop_id: UUID | None = None) -> Placed:
        """Place what the basket holds. No hold becomes longer by it; an order that costs nothing is paid at once.

        Waiting places of the basket move on to the buyer's next one. Raises `Refused`: ``order.state``,
        ``order.empty``, ``delivery.missing`` (the shop delivers, but nothing was chosen).
        """
        order = self.order(order_id, buyer=buyer, shop_id=shop_id)
        self._in_state(order, Order.State.OPEN)
        for line in order.lines:
            if line.state == "held" and line.hold_until <= self.now:
                self._lapse(line)
        lines = [line for line in order.lines if line.state == "held"]
        if not lines:
            raise Refused(errors.ORDER_EMPTY)
        if any(line.currency != order.currency for line in lines):
            raise Conflict(f"order {order.id} holds lines of another currency")
        option = self._options.get(order.delivery_option_id) if order.delivery_option_id else None
        if option is None and any(other[1] == order.shop_id for other in self._options.values()):
            raise Refused(errors.DELIVERY_MISSING)
        counter = self._counters.get(order.shop_id)
        if counter is None:
            raise Conflict(f"shop {order.shop_id} has no counter, or want_checkout was not called")

        for line in lines:
            line.placed = True
        if option is not None:
            _, _, _, label, fee, free_from = option
            added = fee_for(fee, free_from, order.goods("held"))
            if added:
                self._adjust(order, Adjustment.Kind.SHIPPING, label, added)
            elif fee:
                self._spared[order.id] = Spared(label, fee, free_from)
        order.number = counter[1]
        counter[1] += 1
        order.state, order.placed_at, order.total_minor = Order.State.PLACED, self.now, order.total("held")
        self._next_basket(order)
        self._tell_order("order.placed", order, number=order.number, total_minor=order.total_minor)
        if order.total_minor == 0:
            self._sell_lines(order)
            self._mark_paid(order)
        return Placed(order.id, order.number, order.total_minor, order.currency)

    def cancel(
        self,
        *,
        line_id: UUID,
        qty: int | None = None,
        buyer: UUID | None = None,
        shop_id: UUID | None = None,
        actor: UUID | None = None,
    ) -> int:
        if shop_id is None:
            self._still_theirs(line_id, buyer)
        return super().cancel(line_id=line_id, qty=qty, buyer=buyer, shop_id=shop_id, actor=actor)

    def pass_turn(self, *, line_id: UUID, buyer: UUID) -> None:
        self._still_theirs(line_id, buyer)
        super().pass_turn(line_id=line_id, buyer=buyer)

    def _still_theirs(self, line_id: UUID, buyer: UUID | None) -> None:
        order = self.orders.get(self.line(line_id, buyer=buyer).order_id)
        if order is not None:
            self._not_ready(order)

    def _next_basket(self, order: OrderRow) -> None:
        """Whoever waits from this basket waits on from the next one: a placed order does not grow."""
        self._baskets.pop(pair(order.buyer_id, order.scope_id), None)
        entries = [
            entry
            for entry in self.stock.waitlist.entries.values()
            if entry.order_id == order.id and entry.state == "waiting"
        ]
        if not entries:
            return
        basket = self._baskets[pair(order.buyer_id, order.scope_id)] = new_id()
        self._new_orders.append(
            (
                basket,
                order.shop_id,
                order.buyer_id,
                order.scope_id,
                order.origin_stream,
                order.currency,
                self.now,
            )
        )
        for entry in entries:
            entry.order_id = basket
        self.news.append(News("order.changed", order.buyer_id, order.shop_id, order.origin_stream, basket))

    def lapse_order(self, *, order_id: UUID) -> bool:
        """A placed order of which no unit is held any more becomes ``lapsed``, unless money may be on its way to it.

        Happens by itself where a hold or an attempt of a loaded order ends; for the others see `ended_orders`.
        Harmless to repeat; True if it did. Money that still comes is dealt with by `Payments.payment_succeeded`.
        """
        order = self.orders.get(order_id)
        return order is not None and self._lapse_order(order)

    def _lapse_order(self, order: OrderRow) -> bool:
        if (
            order.state != Order.State.PLACED
            or order.paid_minor
            or any(line.placed and line.state == "held" for line in order.lines)
            or any(attempt.is_live for attempt in order.attempts)
        ):
            return False
        order.state, order.payment_state = Order.State.LAPSED, Order.Payment.UNPAID
        self._tell_order("order.lapsed", order)
        return True
