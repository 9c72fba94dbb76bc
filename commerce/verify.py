"""All the books of commerce at once."""

from __future__ import annotations

from commerce.drift import Drift
from commerce.orders.verify import drifts as order_drifts
from commerce.payments.verify import drifts as payment_drifts
from commerce.stock.verify import drifts as stock_drifts


def drifts() -> list[Drift]:
    """Everything that does not add up; empty when all is well."""
    return [*stock_drifts(), *order_drifts(), *payment_drifts()]
