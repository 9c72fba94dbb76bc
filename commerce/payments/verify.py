"""Recompute money: what orders say they got and gave back, from attempts, events and refunds."""

from __future__ import annotations

from commerce.drift import Drift, compare

_PAID = """
SELECT o.id, COALESCE(a.amount, 0), o.paid_minor FROM commerce_order o
LEFT JOIN (
    SELECT order_id, SUM(amount_minor) AS amount FROM commerce_attempt
    WHERE state = 'succeeded' GROUP BY order_id
) a ON a.order_id = o.id
WHERE COALESCE(a.amount, 0) <> o.paid_minor
"""

_REFUNDED = """
SELECT o.id, COALESCE(r.amount, 0), o.refunded_minor FROM commerce_order o
LEFT JOIN (
    SELECT a.order_id, SUM(r.amount_minor) AS amount FROM commerce_refund r
    JOIN commerce_attempt a ON a.id = r.attempt_id WHERE r.reason <> 'payment.mismatch' GROUP BY a.order_id
) r ON r.order_id = o.id
WHERE COALESCE(r.amount, 0) <> o.refunded_minor
"""

_PAYMENT_STATE = """
SELECT id, expected, payment_state FROM (
    SELECT o.id, o.payment_state,
        CASE WHEN o.paid_minor > 0 AND o.paid_minor = o.refunded_minor THEN 'refunded'
             WHEN o.paid_minor > 0 AND o.paid_minor - o.refunded_minor < o.total_minor THEN 'part_refunded'
             WHEN o.paid_minor > 0 OR o.state = 'paid' THEN 'paid'
             WHEN live.order_id IS NOT NULL THEN 'pending'
             ELSE 'unpaid' END AS expected
    FROM commerce_order o
    LEFT JOIN (
        SELECT DISTINCT order_id FROM commerce_attempt WHERE state IN ('created', 'pending')
    ) live ON live.order_id = o.id
) states WHERE expected <> payment_state
"""

_UNPROVEN = """
SELECT a.id, 'an event', 'none' FROM commerce_attempt a
WHERE a.state = 'succeeded' AND NOT EXISTS (
    SELECT 1 FROM commerce_paymentevent e WHERE e.attempt_id = a.id AND e.kind = 'succeeded'
        AND e.amount_minor = a.amount_minor AND e.currency = a.currency
)
"""

_OVER_REFUNDED = """
SELECT a.id, a.amount_minor, SUM(r.amount_minor) FROM commerce_attempt a JOIN commerce_refund r ON r.attempt_id = a.id
WHERE r.reason <> 'payment.mismatch' GROUP BY a.id, a.amount_minor HAVING SUM(r.amount_minor) > a.amount_minor
"""

_PAID_BY_NOTHING = """
SELECT o.id, o.total_minor, o.paid_minor FROM commerce_order o
WHERE o.state = 'paid' AND o.paid_minor < o.total_minor
"""


def drifts() -> list[Drift]:
    """Everything about money that does not add up; empty when all is well. Reads whole tables."""
    found = compare("order.paid", _PAID)
    found += compare("order.refunded", _REFUNDED)
    found += compare("order.payment_state", _PAYMENT_STATE)
    found += compare("attempt.unproven", _UNPROVEN)
    found += compare("attempt.over_refunded", _OVER_REFUNDED)
    found += compare("order.underpaid", _PAID_BY_NOTHING)
    return found
