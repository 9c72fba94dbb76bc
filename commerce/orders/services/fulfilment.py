"""Packing, shipping, handing over."""

from __future__ import annotations

from uuid import UUID

from commerce.errors import Refused
from commerce.orders import errors
from commerce.orders.models import Order
from commerce.orders.services.core import Core

STEPS: dict[str, tuple[str, ...]] = {
    "none": ("packed",),
    "packed": ("none", "shipped", "ready"),
    "shipped": (),
    "ready": ("packed", "handed_over"),
    "handed_over": (),
}
_NOT_FOR = {"delivery": "ready", "pickup": "shipped"}
_GONE = ("shipped", "handed_over")


class Fulfilment(Core):
    def set_fulfilment(self, *, order_id: UUID, shop_id: UUID, state: str) -> None:
        """One step along `STEPS`, for an order that is paid or will be paid when it is picked up.

        The latter as far as to lie ready: an unpaid order may still be cancelled or lapse, and its units are sold to
        the next in line; they have to be in the shop for that.
        """
        order = self.order(order_id, shop_id=shop_id)
        pays_on_pickup = order.state == Order.State.PLACED and any(
            attempt.is_live and attempt.method == "on_pickup" for attempt in order.attempts
        )
        if order.state != Order.State.PAID and not pays_on_pickup:
            raise Refused(errors.ORDER_STATE, state=str(order.state))
        allowed = [
            step for step in STEPS[order.fulfilment_state] if step != _NOT_FOR.get(order.delivery_kind)
        ]
        if state not in allowed:
            raise Refused(errors.FULFILMENT_STEP, state=str(order.fulfilment_state), allowed=allowed)
        if state in _GONE and order.state != Order.State.PAID:
            raise Refused(errors.FULFILMENT_UNPAID)
        order.fulfilment_state = state
        self._tell_order("order.fulfilment", order, state=state)
