"""Money back: part or whole, and stock exactly once."""

from __future__ import annotations

import pytest
from uuid_utils.compat import uuid7

from commerce.errors import Refused
from commerce.models import Order, Refund
from commerce.verify import drifts
from tests.commerce.test_checkout import adjust
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


def test_units_come_back_once(world: World) -> None:
    got, _ = world.paid(person(), 3)
    (due,) = world.refund(got.order_id, lines={got.line_id: 1})
    assert (due.amount_minor, due.gateway) == (1500, "sandbox")
    assert world.counts() == (8, 0, 2, 0)
    assert world.order(got.order_id).payment_state == "part_refunded"
    world.refund(got.order_id, lines={got.line_id: 2})
    assert world.line(got.line_id).state == "refunded"
    assert world.order(got.order_id).payment_state == "refunded"
    for how in ({"lines": {got.line_id: 1}}, {"amount_minor": 1}, {}):
        with pytest.raises(Refused):
            world.refund(got.order_id, **how)
    assert world.counts() == (10, 0, 0, 0)
    assert world.moves("unsell") == 2


def test_everything_comes_back_with_shipping(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 2)
    adjust(world, got.order_id, "shipping", 490)
    world.checkout(got.order_id, buyer)
    begun = world.begin(got.order_id, buyer)
    world.pay(begun.attempt_id, 3490)
    assert [d.amount_minor for d in world.refund(got.order_id, lines={got.line_id: 1})] == [1500]
    assert [d.amount_minor for d in world.refund(got.order_id, cancel=True)] == [1990]
    order = world.order(got.order_id)
    assert (order.state, order.payment_state, order.refunded_minor) == ("cancelled", "refunded", 3490)
    assert world.counts() == (10, 0, 0, 0)


def test_discounts_are_shared_so_that_all_refunds_add_up(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 3)
    adjust(world, got.order_id, "discount", -1000)
    world.checkout(got.order_id, buyer)
    begun = world.begin(got.order_id, buyer)
    world.pay(begun.attempt_id, 3500)
    amounts = [world.refund(got.order_id, lines={got.line_id: 1})[0].amount_minor for _ in range(3)]
    assert amounts == [1166, 1167, 1167]
    assert sum(amounts) == 3500


def test_an_amount_without_units(world: World) -> None:
    got, _ = world.paid(person(), 2)
    world.refund(got.order_id, amount_minor=500, reason="late")
    assert world.counts() == (8, 0, 2, 0)
    refund = Refund.objects.get()
    assert (refund.amount_minor, refund.reason, refund.actor_id) == (500, "late", world.owner)
    with pytest.raises(Refused) as caught:
        world.refund(got.order_id, amount_minor=2501)
    assert caught.value.params == {"left": 2500}


def test_a_reason_is_kept_in_full_and_cannot_hide_a_refund(world: World) -> None:
    got, _ = world.paid(person(), 2)
    world.refund(got.order_id, amount_minor=500, reason="It came late, and the box was open. " * 5)
    world.refund(got.order_id, amount_minor=500, reason="payment.mismatch")
    reasons = list(Refund.objects.order_by("id").values_list("reason", flat=True))
    assert (len(reasons[0]), reasons[1]) == (180, "refund")
    assert drifts() == []


@pytest.mark.parametrize("qty", [0, 3, -1, True, 1.0])
def test_units_that_cannot_be_refunded(world: World, qty: object) -> None:
    got, _ = world.paid(person(), 2)
    with pytest.raises(Refused, match=r"line\.quantity"):
        world.refund(got.order_id, lines={got.line_id: qty})


def test_no_units_are_not_everything(world: World) -> None:
    got, _ = world.paid(person())
    with pytest.raises(Refused, match=r"refund\.empty"):
        world.refund(got.order_id, lines={})


def test_only_own_lines_of_paid_orders(world: World) -> None:
    got, _ = world.paid(person(), 2)
    other, _ = world.paid(person(), 1)
    with pytest.raises(Refused, match=r"line\.unknown"):
        world.refund(got.order_id, lines={other.line_id: 1})
    unpaid = world.claim(person())
    with pytest.raises(Refused, match=r"order\.state"):
        world.refund(unpaid.order_id)
    batch = world.batch()
    batch.book.want_order(got.order_id)
    with pytest.raises(Refused, match=r"order\.unknown"):
        batch.decide(
            world.now,
            lambda: batch.book.refund(order_id=got.order_id, shop_id=uuid7(), actor=None),
        )


def test_broken_goods_are_written_off(world: World) -> None:
    got, _ = world.paid(person(), 2)
    world.refund(got.order_id, restock=False)
    assert world.counts() == (8, 0, 0, 0)
    assert world.pool().stock == 8


def test_returned_units_go_to_those_who_wait(world: World) -> None:
    got, _ = world.paid(person(), 10)
    world.claim(person(), 1)
    world.refund(got.order_id, lines={got.line_id: 2})
    assert "turn.offered" in world.told()
    assert world.counts() == (1, 1, 8, 0)


def test_what_the_gateway_says_about_a_refund(world: World) -> None:
    got, _ = world.paid(person())
    (due,) = world.refund(got.order_id)

    def settled(ok: bool) -> bool:
        batch = world.batch()
        batch.book.want_refunds(due.refund_id)
        return batch.decide(world.now, lambda: batch.book.refund_settled(refund_id=due.refund_id, ok=ok))

    assert [settled(ok) for ok in (False, False, True, True, False)] == [True, False, True, False, False]
    assert Refund.objects.get().state == "done"


def test_packing_follows_its_steps(world: World) -> None:
    got, _ = world.paid(person())

    def step(state: str, shop_id=None) -> None:
        batch = world.batch()
        batch.book.want_order(got.order_id)
        batch.decide(
            world.now,
            lambda: batch.book.set_fulfilment(
                order_id=got.order_id, shop_id=shop_id or world.shop_id, state=state
            ),
        )

    with pytest.raises(Refused, match=r"fulfilment\.step"):
        step("shipped")
    with pytest.raises(Refused, match=r"order\.unknown"):
        step("packed", uuid7())
    for state in ("packed", "none", "packed", "ready", "handed_over"):
        step(state)
        assert world.order(got.order_id).fulfilment_state == state
    with pytest.raises(Refused) as caught:
        step("packed")
    assert caught.value.params == {"state": "handed_over", "allowed": []}


def test_nothing_is_packed_before_it_is_paid_except_for_pickup(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    Order.objects.filter(id=got.order_id).update(delivery_kind="pickup")
    world.checkout(got.order_id, buyer)

    def pack() -> None:
        batch = world.batch()
        batch.book.want_order(got.order_id)
        batch.decide(
            world.now,
            lambda: batch.book.set_fulfilment(order_id=got.order_id, shop_id=world.shop_id, state="packed"),
        )

    with pytest.raises(Refused, match=r"order\.state"):
        pack()
    world.begin(got.order_id, buyer, gateway="manual", method="on_pickup")
    pack()
