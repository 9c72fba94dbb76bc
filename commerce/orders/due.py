"""What the staff have to be given for each of a shop's orders, as they see it before they book it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from commerce.orders.models import Adjustment, Line, Order
from commerce.orders.shipping import Spared, fee_for
from commerce.shops.models import DeliveryOption

_UNPAID = (Order.State.OPEN, Order.State.PLACED, Order.State.LAPSED)


def due(orders: Sequence[Order], *, now: datetime) -> dict[UUID, int]:
    """What `Payments.mark_paid` would book for them at this moment; nothing for those that are paid or cancelled.

    Reads lines and adjustments as `selectors.orders` has fetched them.
    """
    chosen = {order.delivery_option_id for order in orders if order.state in _UNPAID}
    options = DeliveryOption.objects.in_bulk(chosen - {None}) if chosen - {None} else {}
    return {
        order.id: _due(order, options.get(order.delivery_option_id), now) if order.state in _UNPAID else 0
        for order in orders
    }


def _due(order: Order, option: DeliveryOption | None, now: datetime) -> int:
    held = [line for line in order.lines.all() if line.state == Line.State.HELD and line.hold_until > now]
    if order.state != Order.State.OPEN:
        held = [line for line in held if line.placed]
        if order.state != Order.State.PLACED or not held:
            return order.total_minor
    goods = sum(line.unit_price_minor * (line.qty - line.qty_cancelled - line.qty_refunded) for line in held)
    sums = [a.amount_minor for a in order.adjustments.all()]
    cost = max(0, goods + sum(a for a in sums if a < 0)) + sum(a for a in sums if a > 0)
    if option is None:
        return cost
    if order.state == Order.State.OPEN:
        return cost + (fee_for(option.fee_minor, option.free_from_minor, goods) if option.is_active else 0)
    if option.free_from_minor is None:
        return cost
    charged = sum(a.amount_minor for a in order.adjustments.all() if a.kind == Adjustment.Kind.SHIPPING)
    spared = Spared(option.label, option.fee_minor, option.free_from_minor, charged)
    return cost + spared.fee_again(goods, order.total_minor - cost)
