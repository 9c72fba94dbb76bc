"""Free shipping is for what is bought: it is decided again when goods of an unpaid order are given back or lapse."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from commerce.ids import new_id
from commerce.orders.models import Adjustment, Order
from commerce.orders.rows import OrderRow
from commerce.orders.services.core import Core
from commerce.orders.shipping import Spared
from commerce.sql import any_of, fetch
from commerce.stock.services import StockBook

_SPARED = """
SELECT o.id, d.label, d.fee_minor, d.free_from_minor, COALESCE((
    SELECT SUM(a.amount_minor) FROM commerce_adjustment a WHERE a.order_id = o.id AND a.kind = 'shipping'
), 0)
FROM commerce_order o JOIN commerce_deliveryoption d ON d.id = o.delivery_option_id
WHERE d.fee_minor > 0 AND d.free_from_minor IS NOT NULL AND
"""


class Shipping(Core):
    def __init__(self, stock: StockBook) -> None:
        super().__init__(stock)
        self._spared: dict[UUID, Spared] = {}

    def _load_orders(self) -> None:
        super()._load_orders()
        unpaid = [
            order.id
            for order in self.orders.values()
            if order.state in (Order.State.PLACED, Order.State.LAPSED) and order.delivery_option_id
        ]
        if not unpaid:
            return
        condition, param = any_of("o.id", unpaid)
        for order_id, label, fee, free_from, charged in fetch(_SPARED + condition, [param], "usiii"):
            # PostgreSQL adds integers up to a decimal
            self._spared[order_id] = Spared(label, fee, free_from, int(charged))

    def _fee_again(self, order: OrderRow, goods: int, back: int) -> int:
        spared = self._spared.get(order.id)
        return spared.fee_again(goods, back) if spared is not None else 0

    def _settle_total(self, order: OrderRow, *states: str) -> None:
        """What the order costs from now on, when only its lines in these states are left of it."""
        before = order.total_minor
        order.total_minor = order.total(*states)
        fee = self._fee_again(order, order.goods(*states), before - order.total_minor)
        if fee:
            spared = self._spared[order.id]
            spared.charged += fee
            self._adjust(order, Adjustment.Kind.SHIPPING, spared.label, fee)
            order.total_minor += fee

    def _adjust(self, order: OrderRow, kind: Any, label: str, amount_minor: int) -> None:
        if amount_minor < 0:
            order.discount_minor += amount_minor
        else:
            order.added_minor += amount_minor
        self._new_adjustments.append((new_id(), order.shop_id, order.id, kind, label[:120], amount_minor))
