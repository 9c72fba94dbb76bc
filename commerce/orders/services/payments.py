"""Attempts to pay and what became of them. Asking gateways is not done here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from commerce.errors import Refused
from commerce.ids import new_id, pair
from commerce.orders import errors
from commerce.orders.models import Order
from commerce.orders.rows import MISMATCH, AttemptRow, LineRow, OrderRow
from commerce.orders.services.checkout import Checkout
from commerce.orders.shipping import fee_for
from commerce.orders.types import RefundDue, Settled

_DELIVERED = ("paid", "part", "gone", "unwanted")


def _price(lines: Iterable[LineRow]) -> int:
    return sum(line.unit_price_minor * line.live for line in lines)


def _cost(order: OrderRow, goods: int) -> int:
    return max(0, goods + order.discount_minor) + order.added_minor


@dataclass(slots=True)
class Begun:
    """An attempt that the gateway has now to be asked about."""

    attempt_id: UUID
    order_id: UUID
    gateway: str
    method: str
    amount_minor: int
    currency: str
    reference: str
    deadline: datetime
    repeated: bool


class Payments(Checkout):
    def begin_payment(
        self,
        *,
        order_id: UUID,
        gateway: str,
        deadline: datetime,
        method: str = "",
        keep: timedelta | None = None,
        attempt_id: UUID | None = None,
        buyer: UUID | None = None,
        shop_id: UUID | None = None,
    ) -> Begun:
        """An attempt for what is still held. Units that lapsed since checkout leave the order first.

        ``keep`` is for gateways whose money takes days: holds last until that long after the order was placed, and
        the attempt no longer than they; without it no hold becomes longer. A live attempt for the same amount and
        gateway is resumed, one for another amount replaced.
        """
        order = self.order(order_id, buyer=buyer, shop_id=shop_id)
        self._in_state(order, Order.State.PLACED)
        self.check_method(order_id=order_id, method=method, buyer=buyer, shop_id=shop_id)
        self._lapse_own(order)
        if not any(line.placed and line.state == "held" for line in order.lines):
            raise Refused(errors.ORDER_EMPTY)
        self._drop_lapsed(order)
        for attempt in order.attempts:
            if attempt.is_live and attempt.gateway == gateway:
                if (attempt.amount_minor, attempt.method) == (order.total_minor, method):
                    return self._begun(attempt, repeated=True)
                attempt.state, attempt.settled_at = "cancelled", self.now
        if keep is not None:
            deadline = min(deadline, self._keep_holds(order, keep))
        attempt = self._attempt(order, gateway, method, deadline, attempt_id)
        order.payment_state = Order.Payment.PENDING
        self._tell_order("order.pending", order, attempt=attempt.id, amount_minor=attempt.amount_minor)
        return self._begun(attempt, repeated=False)

    def check_method(
        self, *, order_id: UUID, method: str, buyer: UUID | None = None, shop_id: UUID | None = None
    ) -> None:
        """Raises `Refused` (``payment.not_pickup``) where nobody comes to the shop, to pay there."""
        order = self.order(order_id, buyer=buyer, shop_id=shop_id)
        if method == "on_pickup" and order.delivery_kind != "pickup":
            raise Refused(errors.PAYMENT_NOT_PICKUP)

    def _drop_lapsed(self, order: OrderRow) -> None:
        """What has lapsed leaves the order: it is paid for what is still held."""
        for line in order.lines:
            if line.placed and line.state == "lapsed":
                line.placed = False
        self._settle_total(order, "held")

    def _keep_holds(self, order: OrderRow, keep: timedelta) -> datetime:
        """Lengthen an order's holds for a new attempt; the moment the last of them ends.

        Counted from when the order was placed, which happens once: counted from now, whoever asks again and again
        would keep units for ever from those who wait. What a hold has left, it keeps.
        """
        assert order.placed_at is not None
        held = [line for line in order.lines if line.placed and line.state == "held"]
        for line in held:
            line.hold_until = max(line.hold_until, order.placed_at + keep)
        return max(line.hold_until for line in held)

    def _attempt(
        self, order: OrderRow, gateway: str, method: str, deadline: datetime, attempt_id: UUID | None
    ) -> AttemptRow:
        attempt = AttemptRow(
            (
                attempt_id or new_id(), order.shop_id, order.id, gateway, method, order.total_minor, order.currency,
                "created", "", f"{order.number}-{len(order.attempts) + 1}", False, deadline, self.now, None,
            ),
            fresh=True,
        )  # fmt: skip
        self.attempts[attempt.id] = attempt
        self._new_attempts.append(attempt)
        order.attempts.append(attempt)
        return attempt

    def _begun(self, attempt: AttemptRow, repeated: bool) -> Begun:
        return Begun(
            attempt.id, attempt.order_id, attempt.gateway, attempt.method, attempt.amount_minor, attempt.currency,
            attempt.reference, attempt.deadline, repeated,
        )  # fmt: skip

    def _attempt_of(self, attempt_id: UUID) -> tuple[AttemptRow, OrderRow]:
        attempt = self.attempts.get(attempt_id)
        if attempt is None:
            raise Refused(errors.ATTEMPT_UNKNOWN)
        return attempt, self.orders[attempt.order_id]

    def payment_begun(self, *, attempt_id: UUID, provider_ref: str) -> None:
        """The gateway knows the attempt under this reference. No-op unless the attempt waits for it."""
        attempt, _ = self._attempt_of(attempt_id)
        if attempt.state == "created":
            attempt.state, attempt.provider_ref = "pending", provider_ref[:120]

    def payment_failed(self, *, attempt_id: UUID, state: str = "failed", event_id: str | None = None) -> bool:
        """The attempt has ``failed``, was ``cancelled`` or has ``expired``. False when that changes nothing."""
        if state not in ("failed", "cancelled", "expired"):
            raise ValueError(state)
        attempt, order = self._attempt_of(attempt_id)
        if event_id is not None:
            if event_id in attempt.events:
                return False
            self._event(attempt, event_id, state, attempt.amount_minor, attempt.currency, {"outcome": state})
        if not attempt.is_live:
            return False
        attempt.state, attempt.settled_at = state, self.now
        if order.payment_state == Order.Payment.PENDING and not any(
            other.is_live for other in order.attempts
        ):
            order.payment_state = Order.Payment.UNPAID
            self._tell_order("order.unpaid", order, attempt=attempt.id, reason=state)
        self._lapse_order(order)
        return True

    def payment_succeeded(
        self, *, attempt_id: UUID, amount_minor: int, currency: str, event_id: str, now: datetime
    ) -> Settled:
        """Money has come. What is still held is sold; what lapsed is taken again if it is free and nobody waits for it.

        For what is gone, the money goes back at once, by rule; the caller passes ``refunds`` on to the gateway.
        Repeated and reordered events get the answer that the first one got.
        """
        attempt, order = self._attempt_of(attempt_id)
        said = attempt.events.get(event_id)
        fits = (amount_minor, currency) == (attempt.amount_minor, attempt.currency)
        if said is None and fits and attempt.state == "succeeded":
            said = next(e for e in attempt.events.values() if e["outcome"] in _DELIVERED)
        if said is not None:
            paid, refund = said.get("paid", 0), said.get("refund", 0)
            return Settled(said["outcome"], order.id, attempt.id, paid, refund, repeated=True)
        if not fits:
            return self._mismatch(attempt, order, amount_minor, currency, event_id)
        attempt.state, attempt.settled_at = "succeeded", now
        order.paid_minor += amount_minor
        if order.state in (Order.State.PAID, Order.State.CANCELLED):
            outcome, owed = "unwanted", amount_minor
        else:
            outcome, owed = self._deliver(order, amount_minor)
        refunds = []
        if owed:
            refunds.append(self._owe(order, attempt, owed, f"payment.{outcome}", [], None))
        if outcome in ("paid", "part"):
            self._mark_paid(order)
        else:
            self._set_payment_state(order)
        self._event(
            attempt, event_id, "succeeded", amount_minor, currency,
            {"outcome": outcome, "paid": amount_minor, "refund": owed},
        )  # fmt: skip
        return Settled(outcome, order.id, attempt.id, amount_minor, owed, refunds=refunds)

    def mark_paid(
        self,
        *,
        order_id: UUID,
        shop_id: UUID,
        actor: UUID,
        method: str = "cash",
        amount_minor: int | None = None,
        now: datetime,
    ) -> Settled:
        """Staff have the money in hand: as much as `due` says, which is what they agree to with ``amount_minor``.

        The live manual attempt succeeds if it is for that, else it is replaced by one that is. Raises `Refused`:
        ``order.state``, ``order.amount``.
        """
        order = self.order(order_id, shop_id=shop_id)
        attempt = next((a for a in order.attempts if a.gateway == "manual" and a.state == "succeeded"), None)
        if attempt is None or order.state in (Order.State.PLACED, Order.State.LAPSED):
            self._in_state(order, Order.State.PLACED, Order.State.LAPSED)
            self.agree(order_id=order_id, shop_id=shop_id, amount_minor=amount_minor)
            attempt = self._attempt_in_hand(order, method, now)
        else:
            self._agreed(amount_minor, attempt.amount_minor)
        return self.payment_succeeded(
            attempt_id=attempt.id, amount_minor=attempt.amount_minor, currency=attempt.currency,
            event_id=f"manual:{attempt.id}", now=now,
        )  # fmt: skip

    def agree(self, *, order_id: UUID, shop_id: UUID, amount_minor: int | None) -> None:
        """Raises `Refused` (``order.amount``) unless that is `due`; None agrees to whatever is."""
        self._agreed(amount_minor, self.due(self.order(order_id, shop_id=shop_id)))

    def due(self, order: OrderRow) -> int:
        """What is to be paid for an order now, as `commerce.orders.due` shows it to the staff.

        A basket costs what placing it would make it cost, a placed order what is still held of it; one of which
        nothing is held any more what it was placed for, because what is free of it is taken again.
        """
        held = [line for line in order.lines if line.state == "held" and line.hold_until > self.now]
        if order.state == Order.State.OPEN:
            option = self._options.get(order.delivery_option_id) if order.delivery_option_id else None
            goods = _price(held)
            return _cost(order, goods) + (fee_for(option[4], option[5], goods) if option is not None else 0)
        goods = _price([line for line in held if line.placed])
        if order.state != Order.State.PLACED or not any(line.placed for line in held):
            return order.total_minor
        cost = _cost(order, goods)
        return cost + self._fee_again(order, goods, order.total_minor - cost)

    # -- inside ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _agreed(amount_minor: int | None, due: int) -> None:
        if amount_minor is not None and amount_minor != due:
            raise Refused(errors.ORDER_AMOUNT, amount_minor=due)

    def _attempt_in_hand(self, order: OrderRow, method: str, now: datetime) -> AttemptRow:
        self._lapse_own(order)
        if any(line.placed and line.state == "held" for line in order.lines):
            self._drop_lapsed(order)
        for attempt in order.attempts:
            if attempt.is_live and attempt.gateway == "manual":
                if attempt.amount_minor == order.total_minor:
                    return attempt
                attempt.state, attempt.settled_at = "cancelled", now
        return self._attempt(order, "manual", method, now, None)

    def _mismatch(
        self, attempt: AttemptRow, order: OrderRow, amount_minor: int, currency: str, event_id: str
    ) -> Settled:
        """Not the agreed money: the order stays unpaid, what came is owed back and a person must look."""
        if attempt.is_live:
            attempt.state = "failed"
        attempt.flagged = True
        attempt.settled_at = attempt.settled_at or self.now
        if order.payment_state == Order.Payment.PENDING and not any(
            other.is_live for other in order.attempts
        ):
            order.payment_state = Order.Payment.UNPAID
        refunds = []
        if amount_minor > 0:
            refunds.append(self._refund_row(attempt, order, amount_minor, currency, MISMATCH, [], None))
        self._event(
            attempt, event_id, "succeeded", amount_minor, currency,
            {"outcome": "mismatch", "paid": 0, "refund": amount_minor},
        )  # fmt: skip
        self._tell_order("payment.flagged", order, attempt=attempt.id, amount_minor=amount_minor)
        self._lapse_order(order)
        return Settled("mismatch", order.id, attempt.id, 0, amount_minor, refunds=refunds)

    def _lapse_own(self, order: OrderRow) -> None:
        """This order's due holds, also those that the bounded sweep has not reached."""
        for line in order.lines:
            if line.state == "held" and line.hold_until <= self.now:
                self._lapse(line)

    def _deliver(self, order: OrderRow, amount_minor: int) -> tuple[str, int]:
        """Sell what can be sold for this money. Returns the outcome and what is owed back."""
        self._lapse_own(order)
        lapsed = [line for line in order.lines if line.placed and line.state == "lapsed"]
        self._sell_lines(order)
        lost = [line for line in lapsed if not self._retake(line)]
        got = any(line.placed and line.state == "paid" for line in order.lines)
        if not got:
            order.total_minor = 0
            self._close(order)
            return "gone", amount_minor
        order.total_minor = order.total("paid")
        owed = max(0, amount_minor - order.total_minor)
        return ("part" if lost else "paid"), owed

    def _sell_lines(self, order: OrderRow) -> None:
        for line in order.lines:
            if line.placed and line.state == "held":
                self._sell(line)

    def _sell(self, line: LineRow) -> None:
        line.state, line.ended_at = "paid", self.now
        held = pair(line.buyer_id, line.shop_id)
        if held in self._unpaid:
            self._unpaid[held] -= line.live
        if line.turn:
            self.stock.waitlist.line_ended(line.id, "taken")
        self.stock.sell(pool_id=line.pool_id, qty=line.live, line_id=line.id)

    def _retake(self, line: LineRow) -> bool:
        """Take a lapsed line's units again, as many as are free. True when all of them were."""
        pool = self.stock.pools.get(line.pool_id)
        wanted = line.live
        free = 0 if pool is None or pool.waiting or pool.closed_at is not None else min(wanted, pool.free)
        if free == 0:
            return False
        self.stock.hold(pool_id=line.pool_id, qty=free, line_id=line.id, reason="paid.late")
        self.stock.sell(pool_id=line.pool_id, qty=free, line_id=line.id, reason="paid.late")
        line.qty_cancelled += wanted - free
        line.state = "paid"
        used = pair(line.buyer_id, line.offer_id)
        if used in self._used:
            self._used[used] += free
        return free == wanted

    def _mark_paid(self, order: OrderRow) -> None:
        order.state, order.paid_at = Order.State.PAID, self.now
        for attempt in order.attempts:
            if attempt.is_live:
                attempt.state, attempt.settled_at = "cancelled", self.now
        self._set_payment_state(order)
        self._tell_order("order.paid", order, paid_minor=order.paid_minor, total_minor=order.total_minor)

    def _set_payment_state(self, order: OrderRow) -> None:
        kept = order.paid_minor - order.refunded_minor
        if order.paid_minor and kept == 0:
            order.payment_state = Order.Payment.REFUNDED
        elif kept < order.total_minor:
            order.payment_state = Order.Payment.PART_REFUNDED if order.paid_minor else Order.Payment.UNPAID
        else:
            order.payment_state = Order.Payment.PAID

    def _event(
        self,
        attempt: AttemptRow,
        event_id: str,
        kind: str,
        amount_minor: int,
        currency: str,
        outcome: dict[str, Any],
    ) -> None:
        attempt.events[event_id] = outcome
        self._new_events.append(
            (
                new_id(), attempt.shop_id, attempt.gateway, event_id, attempt.id, kind, amount_minor, currency, outcome,
                self.now,
            )
        )  # fmt: skip

    def _owe(
        self,
        order: OrderRow,
        attempt: AttemptRow,
        amount_minor: int,
        reason: str,
        lines: list[Any],
        actor: UUID | None,
    ) -> RefundDue:
        """Money of this order goes back through the attempt that brought it."""
        order.refunded_minor += amount_minor
        attempt.refunded_minor += amount_minor
        return self._refund_row(attempt, order, amount_minor, order.currency, reason, lines, actor)

    def _refund_row(
        self,
        attempt: AttemptRow,
        order: OrderRow,
        amount_minor: int,
        currency: str,
        reason: str,
        lines: list[Any],
        actor: UUID | None,
    ) -> RefundDue:
        refund_id = new_id()
        self._new_refunds.append(
            [refund_id, attempt.shop_id, attempt.id, amount_minor, reason, lines, actor, self.now, "due"]
        )
        self._tell_order("refund.due", order, refund=refund_id, amount_minor=amount_minor, reason=reason)
        return RefundDue(refund_id, attempt.id, order.id, attempt.gateway, amount_minor, currency, reason)
