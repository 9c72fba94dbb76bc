"""Goods leave the shop when they are paid, and what is set aside for its buyer is the staff's to cancel."""

from __future__ import annotations

from typing import Any

import pytest

from commerce.errors import Refused
from commerce.orders.models import Line, Order
from commerce.shops.models import DeliveryOption
from commerce.stock.models import Pool
from commerce.verify import drifts
from tests.rest.world import ShopWorld

pytestmark = pytest.mark.database

CONTACT = {"name": "Anna", "street": "Lane 1", "postcode": "10115", "city": "Berlin"}


def buyer(world: ShopWorld, name: str, **body: Any) -> dict[str, Any]:
    return world.do(world.room, name, world.buyer, order=str(world.order), **body)


def staff(world: ShopWorld, name: str, **body: Any) -> dict[str, Any]:
    return world.do(world.room, name, order=str(world.order), **body)


def choose(world: ShopWorld, kind: str) -> None:
    DeliveryOption.objects.filter(shop_id=world.shop).update(kind=kind)
    option = str(DeliveryOption.objects.get(shop_id=world.shop).id)
    buyer(world, "order.deliver", option=option, contact=CONTACT)


@pytest.fixture
def ready(world: ShopWorld) -> ShopWorld:
    """An order that is paid when it is picked up, and lies ready for that."""
    choose(world, "pickup")
    buyer(world, "order.pay", gateway="manual", method="on_pickup")
    for state in ("packed", "ready"):
        staff(world, "order.fulfil", state=state)
    return world


def fulfilment(world: ShopWorld) -> str:
    return Order.objects.get(id=world.order).fulfilment_state


def test_nothing_is_handed_over_before_it_is_paid(ready: ShopWorld) -> None:
    with pytest.raises(Refused, match=r"fulfilment\.unpaid"):
        staff(ready, "order.fulfil", state="handed_over")
    assert fulfilment(ready) == "ready"
    staff(ready, "order.mark_paid")
    staff(ready, "order.fulfil", state="handed_over")
    assert fulfilment(ready) == "handed_over"


def test_nothing_is_shipped_before_it_is_paid(world: ShopWorld) -> None:
    choose(world, "pickup")
    buyer(world, "order.pay", gateway="manual", method="on_pickup")
    staff(world, "order.fulfil", state="packed")
    # what was chosen as pick-up when it was placed
    Order.objects.filter(id=world.order).update(delivery_kind="")
    with pytest.raises(Refused, match=r"fulfilment\.unpaid"):
        staff(world, "order.fulfil", state="shipped")
    assert fulfilment(world) == "packed"


def test_what_lies_ready_is_not_its_buyers_to_give_back(ready: ShopWorld) -> None:
    line = str(Line.objects.get(order_id=ready.order).id)
    with pytest.raises(Refused, match=r"order\.ready"):
        buyer(ready, "order.cancel")
    for qty in (None, 1):
        with pytest.raises(Refused, match=r"order\.ready"):
            ready.do(ready.room, "claim.cancel", ready.buyer, line=line, qty=qty)
    Line.objects.filter(id=line).update(turn=True)
    with pytest.raises(Refused, match=r"order\.ready"):
        ready.do(ready.room, "claim.pass", ready.buyer, line=line)
    Line.objects.filter(id=line).update(turn=False)
    assert Pool.objects.get(variant_id=ready.variant).held == 1
    # taken from the shelf again, or cancelled by those who can see where the goods are
    staff(ready, "order.fulfil", state="packed")
    staff(ready, "order.fulfil", state="ready")
    staff(ready, "order.cancel")
    assert Pool.objects.get(variant_id=ready.variant).held == 0
    assert drifts() == []


def test_what_is_only_packed_may_be_given_back(ready: ShopWorld) -> None:
    staff(ready, "order.fulfil", state="packed")
    buyer(ready, "order.cancel")
    assert Order.objects.get(id=ready.order).state == "cancelled"


def test_paying_at_pick_up_is_for_what_is_picked_up(world: ShopWorld) -> None:
    choose(world, "delivery")
    with pytest.raises(Refused, match=r"payment\.not_pickup"):
        buyer(world, "order.pay", gateway="manual", method="on_pickup")
    # refused is as if it had never been asked
    assert Order.objects.get(id=world.order).state == "open"
    buyer(world, "order.pay", gateway="manual", method="transfer")
    with pytest.raises(Refused, match=r"payment\.not_pickup"):
        buyer(world, "order.pay", gateway="manual", method="on_pickup")
