"""What the buyer settles before placing an order, and giving an order up."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from commerce.errors import Refused
from commerce.ids import pair
from commerce.orders import errors
from commerce.orders.models import Adjustment, Contact, Order
from commerce.orders.rows import LineRow, OrderRow
from commerce.orders.services.core import CONTACT
from commerce.orders.services.shipping import Shipping

_LIMITS = {f.name: f.max_length for f in Contact._meta.concrete_fields if f.name in CONTACT and f.max_length}
_NEEDED = {"delivery": ("name", "street", "postcode", "city"), "pickup": ("name",)}
_SET_ASIDE = (Order.Fulfilment.READY, Order.Fulfilment.SHIPPED, Order.Fulfilment.HANDED_OVER)
_UNPAID = (Order.State.OPEN, Order.State.PLACED, Order.State.LAPSED)


class Baskets(Shipping):
    def set_delivery(
        self,
        *,
        order_id: UUID,
        option_id: UUID,
        contact: Mapping[str, str],
        note: str = "",
        buyer: UUID | None = None,
        shop_id: UUID | None = None,
    ) -> None:
        """Choose how an open basket reaches its buyer: one of the shop's delivery options, or pick-up points.

        ``contact`` has the keys name, phone, email, street, postcode, city, country; delivery needs name, street,
        postcode and city, pick-up a name.
        """
        order = self.order(order_id, buyer=buyer, shop_id=shop_id)
        self._in_state(order, Order.State.OPEN)
        option = self._options.get(option_id)
        if option is None or option[1] != order.shop_id:
            raise Refused(errors.DELIVERY_UNKNOWN)
        values = {name: str(contact.get(name) or "").strip() for name in CONTACT}
        missing = [name for name in _NEEDED[option[2]] if not values[name]]
        if missing:
            raise Refused(errors.CONTACT_INCOMPLETE, missing=missing)
        for name, limit in _LIMITS.items():
            if len(values[name]) > limit:
                raise Refused(errors.CONTACT_TOO_LONG, field=name, limit=limit)
        if len(note) > 500:
            raise Refused(errors.CONTACT_TOO_LONG, field="note", limit=500)
        order.delivery_kind, order.delivery_option_id, order.note = option[2], option_id, note
        self._new_contacts[order.id] = (order.shop_id, order.id, *(values[name] for name in CONTACT))

    def add_adjustment(
        self, *, order_id: UUID, shop_id: UUID, kind: str, label: str, amount_minor: int
    ) -> None:
        """Add tax, a discount (negative) or a fee to an open basket, as a rule of the shop or by its staff."""
        order = self.order(order_id, shop_id=shop_id)
        self._in_state(order, Order.State.OPEN)
        if kind not in Adjustment.Kind.values or type(amount_minor) is not int:
            raise Refused(errors.ORDER_STATE, state=order.state)
        if (amount_minor > 0) == (kind == Adjustment.Kind.DISCOUNT):
            raise Refused(errors.ADJUSTMENT_SIGN)
        self._adjust(order, kind, label, amount_minor)

    def cancel_order(
        self,
        *,
        order_id: UUID,
        buyer: UUID | None = None,
        shop_id: UUID | None = None,
        actor: UUID | None = None,
    ) -> None:
        """Give up an unpaid order: its holds and waiting places go to the next in line.

        A paid one is refunded instead (``order.paid``), see `Refunds.refund`. One that lies ready only the staff
        cancel (``order.ready``).
        """
        order = self.order(order_id, buyer=buyer, shop_id=shop_id)
        if order.state == Order.State.PAID:
            raise Refused(errors.ORDER_PAID)
        self._in_state(order, *_UNPAID)
        if shop_id is None:
            self._not_ready(order)
        self._close(order)
        for entry in list(self.stock.waitlist.entries.values()):
            if entry.order_id == order.id and entry.state == "waiting":
                self._leave(entry, "gone", "waiting.gone")
        for line in list(order.lines):
            if line.state == "held":
                self._drop_line(line, "cancelled", actor or buyer)

    def _not_ready(self, order: OrderRow) -> None:
        """Goods that were set aside for their buyer have to be put back first: the staff know whether they are."""
        if order.state == Order.State.PLACED and order.fulfilment_state in _SET_ASIDE:
            raise Refused(errors.ORDER_READY)

    def _close(self, order: OrderRow) -> None:
        """The order is cancelled; claims that follow begin a new basket."""
        order.state, order.total_minor = Order.State.CANCELLED, 0
        order.payment_state = Order.Payment.UNPAID
        key = pair(order.buyer_id, order.scope_id)
        if self._baskets.get(key) == order.id:
            del self._baskets[key]
        for attempt in order.attempts:
            if attempt.is_live:
                attempt.state, attempt.settled_at = "cancelled", self.now
        self._tell_order("order.cancelled", order)

    def _after_cancel(self, line: LineRow) -> None:
        order = self.orders.get(line.order_id)
        if order is None or order.state not in (Order.State.PLACED, Order.State.LAPSED) or not line.placed:
            return
        if any(other.placed and other.live and other.state in ("held", "lapsed") for other in order.lines):
            self._settle_total(order, "held", "lapsed")
            self._tell_order("order.changed", order, total_minor=order.total_minor)
            # what was given back may have been the last that was held, with the rest lapsed before
            self._lapse_order(order)
        else:
            self._close(order)

    def _in_state(self, order: OrderRow, *states: str) -> None:
        if order.state not in states:
            raise Refused(errors.ORDER_STATE, state=str(order.state))
