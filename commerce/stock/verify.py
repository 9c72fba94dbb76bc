"""Recompute the pools: their counters from the ledger, from the lines and from those who wait."""

from __future__ import annotations

from commerce.drift import Drift, compare

_FROM_LEDGER = """
SELECT p.id, COALESCE(m.total, 0), p.{column} FROM commerce_pool p
LEFT JOIN (SELECT pool_id, SUM(d_{column}) AS total FROM commerce_movement GROUP BY pool_id) m ON m.pool_id = p.id
WHERE COALESCE(m.total, 0) <> p.{column}
"""

_FROM_LINES = """
SELECT p.id, COALESCE(l.units, 0), p.{column} FROM commerce_pool p
LEFT JOIN (
    SELECT pool_id, SUM(qty - qty_cancelled - qty_refunded) AS units FROM commerce_line
    WHERE state = '{state}' GROUP BY pool_id
) l ON l.pool_id = p.id
WHERE COALESCE(l.units, 0) <> p.{column}
"""

_WAITING = """
SELECT p.id, COALESCE(w.people, 0), p.waiting FROM commerce_pool p
LEFT JOIN (
    SELECT pool_id, COUNT(*) AS people FROM commerce_waiting WHERE state = 'waiting' GROUP BY pool_id
) w ON w.pool_id = p.id
WHERE COALESCE(w.people, 0) <> p.waiting
"""

_BASKET_OF_WAITING = """
SELECT w.id, 'open', COALESCE(o.state, 'missing') FROM commerce_waiting w
LEFT JOIN commerce_order o ON o.id = w.order_id
WHERE w.state = 'waiting' AND (o.state IS NULL OR o.state <> 'open' OR o.buyer_id <> w.buyer_id)
"""

_OPEN_TURNS = """
SELECT w.id, 'held', COALESCE(l.state, 'missing') FROM commerce_waiting w
LEFT JOIN commerce_line l ON l.id = w.line_id
WHERE w.state = 'offered' AND (l.state IS NULL OR l.state <> 'held')
"""

_HELD_OVER = """
SELECT l.id, 0, SUM(m.d_held) FROM commerce_line l JOIN commerce_movement m ON m.line_id = l.id
WHERE l.state <> 'held' GROUP BY l.id HAVING SUM(m.d_held) <> 0
"""

_CLOSED_WITH_FREE = """
SELECT id, 0, stock - held - sold FROM commerce_pool
WHERE closed_at IS NOT NULL AND parent_id IS NOT NULL AND stock - held - sold <> 0
"""

_ORPHANS = """
SELECT x.id, 'a pool of the same shop', 'none' FROM {table} x LEFT JOIN commerce_pool p ON p.id = x.pool_id
WHERE p.id IS NULL OR p.shop_id <> x.shop_id
"""


def drifts() -> list[Drift]:
    """Everything about stock that does not add up; empty when all is well. Reads whole tables."""
    found: list[Drift] = []
    for column in ("stock", "held", "sold"):
        found += compare(f"pool.{column}_ledger", _FROM_LEDGER.format(column=column))
    for column, state in (("held", "held"), ("sold", "paid")):
        found += compare(f"pool.{column}_lines", _FROM_LINES.format(column=column, state=state))
    found += compare("pool.waiting", _WAITING)
    found += compare("waiting.basket", _BASKET_OF_WAITING)
    found += compare("waiting.turn", _OPEN_TURNS)
    found += compare("line.held_over", _HELD_OVER)
    found += compare("pool.closed_with_free", _CLOSED_WITH_FREE)
    for table in ("commerce_line", "commerce_movement", "commerce_waiting"):
        found += compare(f"{table.removeprefix('commerce_')}.pool", _ORPHANS.format(table=table))
    return found
