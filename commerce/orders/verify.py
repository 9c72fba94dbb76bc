"""Recompute orders: totals from lines, states from what they hold."""

from __future__ import annotations

from commerce.drift import Drift, compare

_TOTAL = """
SELECT id, expected, total_minor FROM (
    SELECT o.id, o.total_minor,
        CASE WHEN COALESCE(g.goods, 0) + COALESCE(a.less, 0) > 0 THEN COALESCE(g.goods, 0) + COALESCE(a.less, 0)
             ELSE 0 END + COALESCE(a.more, 0) AS expected
    FROM commerce_order o
    LEFT JOIN (
        SELECT l.order_id, SUM(l.unit_price_minor * (l.qty - l.qty_cancelled)) AS goods
        FROM commerce_line l JOIN commerce_order own ON own.id = l.order_id
        WHERE l.placed AND (l.state IN ('held', 'paid', 'refunded') OR (l.state = 'lapsed' AND own.state <> 'paid'))
        GROUP BY l.order_id
    ) g ON g.order_id = o.id
    LEFT JOIN (
        SELECT order_id,
            SUM(CASE WHEN amount_minor < 0 THEN amount_minor ELSE 0 END) AS less,
            SUM(CASE WHEN amount_minor > 0 THEN amount_minor ELSE 0 END) AS more
        FROM commerce_adjustment GROUP BY order_id
    ) a ON a.order_id = o.id
    WHERE o.state IN ('placed', 'lapsed', 'paid')
) sums WHERE expected <> total_minor
"""

_BASKET_NOT_HELD = """
SELECT l.id, 'held', l.state FROM commerce_line l JOIN commerce_order o ON o.id = l.order_id
WHERE o.state = 'open' AND (l.placed OR l.state IN ('paid', 'refunded'))
"""

_HELD_IN_ENDED = """
SELECT l.id, 'ended', l.state FROM commerce_line l JOIN commerce_order o ON o.id = l.order_id
WHERE l.state = 'held' AND o.state IN ('paid', 'cancelled', 'lapsed')
"""

_STRANGER = """
SELECT l.id, 'of the order''s buyer and shop', 'of another' FROM commerce_line l
JOIN commerce_order o ON o.id = l.order_id
WHERE l.buyer_id <> o.buyer_id OR l.shop_id <> o.shop_id OR l.currency <> o.currency
"""

_TWO_BASKETS = """
SELECT MIN(CAST(id AS TEXT)), 1, COUNT(*) FROM commerce_order WHERE state = 'open'
GROUP BY buyer_id, scope_id HAVING COUNT(*) > 1
"""

_ENDED_LINE = """
SELECT id, 'units left only while held or paid', state FROM commerce_line
WHERE (state IN ('cancelled', 'refunded') AND qty - qty_cancelled - qty_refunded <> 0)
   OR (state IN ('held', 'paid') AND qty - qty_cancelled - qty_refunded = 0)
   OR (state = 'held' AND ended_at IS NOT NULL) OR (state <> 'held' AND ended_at IS NULL)
"""

_NO_NUMBER = """
SELECT id, 'a number', 'none' FROM commerce_order WHERE state IN ('placed', 'paid', 'lapsed') AND number IS NULL
"""

_COUNTER = """
SELECT c.id, o.most + 1, c.next_number FROM commerce_shopcounter c
JOIN (SELECT shop_id, MAX(number) AS most FROM commerce_order GROUP BY shop_id) o ON o.shop_id = c.shop_id
WHERE c.next_number <= o.most
"""


def drifts() -> list[Drift]:
    """Everything about orders that does not add up; empty when all is well. Reads whole tables."""
    found = compare("order.total", _TOTAL)
    found += compare("line.in_basket", _BASKET_NOT_HELD)
    found += compare("line.held_in_ended_order", _HELD_IN_ENDED)
    found += compare("line.stranger", _STRANGER)
    found += compare("order.two_baskets", _TWO_BASKETS)
    found += compare("line.ended", _ENDED_LINE)
    found += compare("order.number", _NO_NUMBER)
    found += compare("shop.counter", _COUNTER)
    return found
