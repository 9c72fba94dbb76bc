"""What staff ask to be paid back is said in full: nothing that is half said counts as everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commerce.orders.models import Line, Order
from commerce.shops.models import DeliveryOption
from tests.rest.world import ShopWorld, client

pytestmark = pytest.mark.database


def refund(world: ShopWorld, **body: Any) -> Any:
    return client(world.owner).post(
        f"/api/v1/streams/{world.room}/commands/order.refund/",
        json.dumps({"order": str(world.order), **body}),
        content_type="application/json",
    )


@pytest.fixture
def line(world: ShopWorld) -> str:
    """The line of an order that is paid."""
    option = str(DeliveryOption.objects.get(shop_id=world.shop).id)
    contact = {"name": "Anna"}
    world.do(world.room, "order.deliver", world.buyer, order=str(world.order), option=option, contact=contact)
    world.do(world.room, "order.mark_paid", order=str(world.order))
    return str(Line.objects.get(order_id=world.order).id)


def back(world: ShopWorld) -> int:
    return Order.objects.get(id=world.order).refunded_minor


@pytest.mark.parametrize("more", [{}, {"amount_minor": 1}])
def test_an_empty_list_is_not_everything(world: ShopWorld, line: str, more: dict[str, int]) -> None:
    answer = refund(world, lines=[], **more)
    assert (answer.status_code, answer.json()["code"]) == (400, "command.invalid")
    assert "$.lines" in answer.json()["params"]["reason"]
    assert back(world) == 0


def test_a_line_named_twice_is_refused(world: ShopWorld, line: str) -> None:
    answer = refund(world, lines=[{"line": line, "qty": 1}, {"line": line, "qty": 1}])
    assert (answer.status_code, answer.json()["code"]) == (400, "command.invalid")
    assert answer.json()["params"]["reason"] == "a line is given twice"
    assert back(world) == 0


@pytest.mark.parametrize("lines", [False, True])
def test_units_or_everything_are_paid_back(world: ShopWorld, line: str, lines: bool) -> None:
    answer = refund(world, **({"lines": [{"line": line, "qty": 1}]} if lines else {"lines": None}))
    assert answer.status_code == 200
    assert back(world) == 1500
