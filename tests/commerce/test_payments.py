"""Money that comes in time, late, twice, wrong or in the wrong order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from commerce.errors import Refused
from commerce.models import Attempt, Line, PaymentEvent, Refund
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


def ready(world: World, qty: int = 2, **begin):
    """An order with an attempt under way."""
    buyer = person()
    got = world.claim(buyer, qty)
    world.checkout(got.order_id, buyer)
    return buyer, got, world.begin(got.order_id, buyer, **begin)


def fail(world: World, attempt_id, state="failed", event_id=None):
    batch = world.batch()
    batch.book.want_payment(attempt_id)
    return batch.decide(
        world.now,
        lambda: batch.book.payment_failed(attempt_id=attempt_id, state=state, event_id=event_id),
    )


@pytest.mark.parametrize("seconds", [599, 600, 601, 4200])
def test_payment_around_the_deadline_while_units_are_free(world: World, seconds: int) -> None:
    _, got, begun = ready(world)
    world.later(seconds)
    settled = world.pay(begun.attempt_id, 3000)
    assert (settled.outcome, settled.refunds) == ("paid", [])
    order, line = world.order(got.order_id), world.line(got.line_id)
    assert (order.state, order.payment_state, line.state) == ("paid", "paid", "paid")
    assert world.counts() == (8, 0, 2, 0)
    assert world.moves("release") == (0 if seconds < 600 else 1)


@pytest.mark.parametrize("seconds", [599, 600, 601, 4200])
def test_payment_around_the_deadline_while_somebody_waits(world: World, seconds: int) -> None:
    _, got, begun = ready(world, 10)
    nobody = world.claim(person(), 10)
    world.later(seconds)
    settled = world.pay(begun.attempt_id, 15000)
    order = world.order(got.order_id)
    if seconds < 600:
        assert (settled.outcome, order.state) == ("paid", "paid")
        assert world.counts() == (0, 0, 10, 1)
    else:
        assert (settled.outcome, settled.refund_minor) == ("gone", 15000)
        assert (order.state, order.payment_state) == ("cancelled", "refunded")
        assert [r.amount_minor for r in settled.refunds] == [15000]
        assert world.counts() == (0, 10, 0, 0)
        assert world.order(nobody.order_id).state == "open"


def test_late_money_for_what_is_partly_gone(world: World) -> None:
    buyer, got, begun = ready(world, 4)
    world.later(600)
    world.claim(person(), 8)
    settled = world.pay(begun.attempt_id, 6000)
    assert (settled.outcome, settled.paid_minor, settled.refund_minor) == ("part", 6000, 3000)
    line, order = world.line(got.line_id), world.order(got.order_id)
    assert (line.state, line.qty, line.qty_cancelled) == ("paid", 4, 2)
    assert (order.state, order.total_minor, order.payment_state) == ("paid", 3000, "paid")
    assert world.counts() == (0, 8, 2, 0)
    again = world.pay(begun.attempt_id, 6000)
    assert (again.outcome, again.refund_minor, again.repeated, again.refunds) == ("part", 3000, True, [])
    assert buyer == order.buyer_id


def test_only_agreed_lines_are_taken_again(world: World) -> None:
    buyer = person()
    world.claim(buyer, 1)
    world.later(600)
    got = world.claim(buyer, 2)
    world.checkout(got.order_id, buyer)
    begun = world.begin(got.order_id, buyer)
    world.pay(begun.attempt_id, 3000)
    assert world.counts() == (8, 0, 2, 0)


@pytest.mark.parametrize("event", ["evt-1", "evt-2"])
def test_repeated_news_changes_nothing(world: World, event: str) -> None:
    _, got, begun = ready(world)
    first = world.pay(begun.attempt_id, 3000)
    for _ in range(3):
        again = world.pay(begun.attempt_id, 3000, event_id=event)
        assert (again.outcome, again.paid_minor, again.repeated) == (first.outcome, 3000, True)
        assert world.told() == []
    assert PaymentEvent.objects.count() == 1
    assert world.order(got.order_id).paid_minor == 3000
    assert world.moves("sell") == 1


@pytest.mark.parametrize(("amount", "currency"), [(2999, "EUR"), (3001, "EUR"), (3000, "USD"), (0, "EUR")])
def test_wrong_money_is_not_a_payment(world: World, amount: int, currency: str) -> None:
    _, got, begun = ready(world)
    settled = world.pay(begun.attempt_id, amount, currency=currency)
    assert (settled.outcome, settled.paid_minor) == ("mismatch", 0)
    assert [(r.amount_minor, r.currency) for r in settled.refunds] == ([(amount, currency)] if amount else [])
    order = world.order(got.order_id)
    assert (order.state, order.payment_state, order.paid_minor) == ("placed", "unpaid", 0)
    assert Attempt.objects.get().flagged
    assert world.pay(begun.attempt_id, amount, currency=currency).repeated
    assert world.pay(begun.attempt_id, 3000, event_id="evt-2").outcome == "paid"
    assert world.order(got.order_id).state == "paid"


def test_a_second_payment_goes_back(world: World) -> None:
    buyer, got, begun = ready(world)
    other = world.begin(got.order_id, buyer, gateway="manual", method="transfer")
    assert world.pay(begun.attempt_id, 3000).outcome == "paid"
    assert Attempt.objects.get(id=other.attempt_id).state == "cancelled"
    settled = world.pay(other.attempt_id, 3000, event_id="evt-2")
    assert (settled.outcome, settled.refund_minor) == ("unwanted", 3000)
    order = world.order(got.order_id)
    assert (order.state, order.payment_state, order.paid_minor) == ("paid", "paid", 6000)
    assert order.refunded_minor == 3000


def test_money_for_a_cancelled_order_goes_back(world: World) -> None:
    buyer, got, begun = ready(world)
    world.cancel(got.line_id, buyer)
    assert Attempt.objects.get().state == "cancelled"
    settled = world.pay(begun.attempt_id, 3000)
    assert (settled.outcome, len(settled.refunds)) == ("unwanted", 1)
    assert world.order(got.order_id).payment_state == "refunded"


def test_what_was_cancelled_while_paying_goes_back(world: World) -> None:
    buyer, got, begun = ready(world)
    world.cancel(got.line_id, buyer, 1)
    settled = world.pay(begun.attempt_id, 3000)
    assert (settled.outcome, settled.refund_minor) == ("paid", 1500)
    assert world.counts() == (9, 0, 1, 0)


def test_a_failed_attempt_can_be_followed_by_another(world: World) -> None:
    buyer, got, begun = ready(world)
    assert fail(world, begun.attempt_id, event_id="evt-f") is True
    assert world.order(got.order_id).payment_state == "unpaid"
    assert fail(world, begun.attempt_id, event_id="evt-f") is False
    second = world.begin(got.order_id, buyer)
    assert second.attempt_id != begun.attempt_id
    assert world.pay(second.attempt_id, 3000).outcome == "paid"


def test_success_after_failure_counts_and_failure_after_success_does_not(world: World) -> None:
    _, got, begun = ready(world)
    fail(world, begun.attempt_id, state="expired", event_id="evt-f")
    assert world.pay(begun.attempt_id, 3000, event_id="evt-s").outcome == "paid"
    assert fail(world, begun.attempt_id, event_id="evt-late") is False
    assert world.order(got.order_id).payment_state == "paid"


def test_an_attempt_is_resumed_for_the_same_amount_and_replaced_for_another(world: World) -> None:
    buyer, got, begun = ready(world)
    again = world.begin(got.order_id, buyer)
    assert (again.attempt_id, again.repeated) == (begun.attempt_id, True)
    world.cancel(got.line_id, buyer, 1)
    other = world.begin(got.order_id, buyer)
    assert (other.amount_minor, other.repeated) == (1500, False)
    assert Attempt.objects.get(id=begun.attempt_id).state == "cancelled"


def test_units_that_lapsed_since_checkout_are_not_charged(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 1)
    world.later(300)
    world.claim(buyer, 2)
    world.checkout(got.order_id, buyer)
    world.later(300)
    begun = world.begin(got.order_id, buyer)
    assert begun.amount_minor == 3000
    world.later(300)
    with pytest.raises(Refused, match=r"order\.empty"):
        world.begin(got.order_id, buyer)


def slow(days: float) -> dict[str, Any]:
    """How an attempt begins whose money takes days."""
    longest = timedelta(days=days)
    return {"gateway": "manual", "method": f"{days} days", "window": longest, "keep": longest}


def test_slow_money_keeps_its_holds(world: World) -> None:
    _, got, begun = ready(world, **slow(5))
    world.later(3 * 86400)
    world.sweep()
    assert world.line(got.line_id).state == "held"
    assert world.pay(begun.attempt_id, 3000).outcome == "paid"


@pytest.mark.parametrize("again", ["resumed", "after a failure", "another way"])
def test_asking_again_keeps_no_hold_longer(world: World, again: str) -> None:
    placed = world.now
    buyer, got, begun = ready(world, 10, **slow(5))
    waits = world.claim(person())
    for day in range(1, 5):
        world.later(86400)
        if again == "after a failure":
            fail(world, begun.attempt_id)
        begun = world.begin(got.order_id, buyer, **slow(4 if again == "another way" and day % 2 else 5))
        assert begun.repeated == (again == "resumed")
        assert world.line(got.line_id).hold_until == placed + timedelta(days=5)
        assert begun.deadline == placed + timedelta(days=5) or day == 3
    world.later(86400)
    world.sweep()
    assert world.line(got.line_id).state == "lapsed"
    assert Line.objects.get(order_id=waits.order_id).state == "held"
    with pytest.raises(Refused):
        world.begin(got.order_id, buyer, **slow(5))


def test_an_order_waits_for_the_money_that_may_be_on_its_way(world: World) -> None:
    buyer, got, begun = ready(world)
    other = world.begin(got.order_id, buyer, gateway="manual")
    world.later(600)
    world.sweep()
    world.follow_up()
    assert world.order(got.order_id).state == "placed"
    fail(world, begun.attempt_id, state="expired")
    assert world.order(got.order_id).state == "placed"
    fail(world, other.attempt_id, state="expired")
    assert world.told() == ["order.unpaid", "order.lapsed"]
    assert world.order(got.order_id).state == "lapsed"
    assert world.pay(begun.attempt_id, 3000).outcome == "paid"


def test_an_order_is_placed_while_it_holds_something(world: World) -> None:
    _, got, begun = ready(world)
    fail(world, begun.attempt_id)
    assert world.told() == ["order.unpaid"]
    assert world.order(got.order_id).state == "placed"


def test_the_wrong_money_is_not_waited_for(world: World) -> None:
    _, got, begun = ready(world)
    world.later(600)
    world.sweep()
    world.follow_up()
    assert world.pay(begun.attempt_id, 1).outcome == "mismatch"
    assert world.order(got.order_id).state == "lapsed"
    assert mark_paid(world, got.order_id).outcome == "paid"


def test_who_changes_to_a_faster_way_keeps_the_time_that_is_left(world: World) -> None:
    placed = world.now
    buyer, got, begun = ready(world, **slow(5))
    fail(world, begun.attempt_id)
    world.later(4 * 86400)
    for way in (slow(0.1), {}):
        second = world.begin(got.order_id, buyer, **way)
        assert world.line(got.line_id).hold_until == placed + timedelta(days=5)
        assert second.deadline == world.now + (way.get("window") or timedelta(minutes=30))
    assert world.pay(second.attempt_id, 3000).outcome == "paid"


def test_a_transfer_of_the_gateways_reference(world: World) -> None:
    _, _, begun = ready(world)
    for _ in range(2):
        batch = world.batch()
        batch.book.want_payment(begun.attempt_id)
        batch.decide(
            world.now,
            lambda batch=batch: batch.book.payment_begun(attempt_id=begun.attempt_id, provider_ref="p-1"),
        )
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.provider_ref, attempt.reference) == ("pending", "p-1", "1-1")


def mark_paid(world: World, order_id):
    batch = world.batch()
    batch.book.want_order(order_id)
    return batch.decide(
        world.now,
        lambda: batch.book.mark_paid(
            order_id=order_id, shop_id=world.shop_id, actor=world.owner, now=world.now
        ),
    )


def test_staff_mark_an_order_as_paid(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    with pytest.raises(Refused, match=r"order\.state"):
        mark_paid(world, got.order_id)
    world.checkout(got.order_id, buyer)
    assert mark_paid(world, got.order_id).outcome == "paid"
    assert mark_paid(world, got.order_id).repeated
    attempt = Attempt.objects.get()
    assert (attempt.gateway, attempt.method, attempt.state) == ("manual", "cash", "succeeded")
    assert Refund.objects.count() == 0


def test_a_turn_that_is_paid_is_taken(world: World) -> None:
    from commerce.models import Waiting

    holder = person()
    held = world.claim(holder, 10)
    buyer = person()
    entry = world.claim(buyer)
    world.cancel(held.line_id, holder, 1)
    world.checkout(entry.order_id, buyer)
    begun = world.begin(entry.order_id, buyer)
    world.pay(begun.attempt_id, 1500)
    assert Waiting.objects.get().state == "taken"
    assert Line.objects.get(buyer_id=buyer).state == "paid"
