"""Each kind of drift, made by hand, is found; and only that kind."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import F
from uuid_utils.compat import uuid7

from commerce.models import Attempt, Line, Movement, Order, Pool, Refund, ShopCounter, Waiting
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture
def busy(world: World) -> World:
    """A paid order with a partial refund, a placed one, a basket, a full waiting list with a turn."""
    buyer = person()
    got, _ = world.paid(buyer, 3)
    world.refund(got.order_id, lines={got.line_id: 1})
    placed = person()
    world.checkout(world.claim(placed, 2).order_id, placed)
    world.claim(person(), 6)
    holder = Line.objects.get(qty=6)
    world.claim(person(), 1)
    world.claim(person(), 1)
    world.cancel(holder.id, holder.buyer_id, 1)
    assert drifts() == []
    return world


def kinds() -> set[str]:
    return {drift.kind for drift in drifts()}


def nudge(model, column: str, **filters) -> None:
    assert model.objects.filter(**filters).update(**{column: F(column) + 1}) >= 1


@pytest.mark.parametrize(
    ("model", "column", "filters", "found"),
    [
        (Pool, "stock", {}, {"pool.stock_ledger"}),
        (Movement, "d_stock", {"kind": "receive"}, {"pool.stock_ledger"}),
        (Movement, "d_held", {"kind": "hold"}, {"pool.held_ledger", "line.held_over"}),
        (Movement, "d_sold", {"kind": "sell"}, {"pool.sold_ledger"}),
        (Pool, "waiting", {}, {"pool.waiting"}),
        (Line, "qty", {"state": "held", "placed": False}, {"pool.held_lines"}),
        (Line, "qty", {"state": "paid"}, {"pool.sold_lines", "order.total"}),
        (Line, "unit_price_minor", {"placed": True}, {"order.total"}),
        (Order, "total_minor", {"state": "placed"}, {"order.total"}),
        (Order, "paid_minor", {"state": "paid"}, {"order.paid"}),
        (Order, "refunded_minor", {"state": "paid"}, {"order.refunded"}),
        (Attempt, "amount_minor", {"state": "succeeded"}, {"order.paid", "attempt.unproven"}),
        (Refund, "amount_minor", {}, {"order.refunded"}),
    ],
)
def test_a_number_that_is_off_by_one(busy: World, model, column: str, filters: dict, found: set[str]) -> None:
    nudge(model, column, **filters)
    assert kinds() == found


@pytest.mark.parametrize(
    ("model", "filters", "change", "found"),
    [
        (Order, {"state": "placed"}, {"payment_state": "paid"}, "order.payment_state"),
        (Order, {"state": "placed"}, {"number": None}, "order.number"),
        (Order, {"state": "placed"}, {"state": "cancelled"}, "line.held_in_ended_order"),
        (Order, {"state": "paid"}, {"state": "open"}, "line.in_basket"),
        (Order, {"state": "placed"}, {"buyer_id": uuid7()}, "line.stranger"),
        (Order, {"state": "paid"}, {"total_minor": 9999}, "order.underpaid"),
        (Line, {"state": "paid"}, {"ended_at": None}, "line.ended"),
        (Line, {"state": "held", "turn": True}, {"state": "lapsed"}, "waiting.turn"),
        (Line, {"state": "held", "turn": True}, {"state": "lapsed"}, "line.held_over"),
        (Line, {"state": "held", "turn": True}, {"pool_id": uuid7()}, "line.pool"),
        (Movement, {"kind": "receive"}, {"pool_id": uuid7()}, "movement.pool"),
        (Waiting, {"state": "waiting"}, {"pool_id": uuid7()}, "waiting.pool"),
        (Waiting, {"state": "waiting"}, {"order_id": uuid7()}, "waiting.basket"),
        (Refund, {}, {"amount_minor": 99999}, "attempt.over_refunded"),
        (ShopCounter, {}, {"next_number": 1}, "shop.counter"),
    ],
)
def test_a_row_that_contradicts_the_others(
    busy: World, model, filters: dict, change: dict, found: str
) -> None:
    assert model.objects.filter(**filters).update(**change) >= 1
    assert found in kinds()


def test_a_drop_that_kept_free_units(busy: World) -> None:
    pool = busy.pool()
    Pool.objects.create(
        shop_id=pool.shop_id, variant_id=pool.variant_id, parent=pool, stock=1, closed_at=busy.now
    )
    assert kinds() == {"pool.stock_ledger", "pool.closed_with_free"}


def test_two_baskets_of_one_buyer(busy: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX order_one_basket")
    order = Order.objects.filter(state="open").first()
    order.pk = uuid7()
    order.save(force_insert=True)
    assert kinds() == {"order.two_baskets"}


def test_a_drift_says_what_and_where(busy: World) -> None:
    nudge(Pool, "waiting")
    (drift,) = drifts()
    assert (drift.kind, drift.expected, drift.found) == ("pool.waiting", 1, 2)
    assert drift.subject.replace("-", "") == busy.pool_id.hex
