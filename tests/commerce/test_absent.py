"""Who lets a hold lapse, passes a turn or gives units back waits for no more of it: the next person is served."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from commerce.models import Line, Waiting
from commerce.stock import waitlist
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


@pytest.fixture
def world(db: None) -> World:
    return World.create(units=1)


def pass_turn(world: World, line_id: UUID, buyer: UUID) -> None:
    batch = world.on_lines(line_id)
    batch.decide(world.now, lambda: batch.book.pass_turn(line_id=line_id, buyer=buyer))


def states(world: World, buyer: UUID) -> list[str]:
    """Of the buyer's places in waiting lists, in their order."""
    return list(Waiting.objects.filter(buyer_id=buyer).order_by("rank", "id").values_list("state", flat=True))


def news(world: World) -> list[tuple[str, UUID]]:
    return [(n.kind, n.person_id) for n in world.last.book.news]


def holders(world: World) -> list[UUID]:
    return list(Line.objects.filter(state="held").values_list("buyer_id", flat=True))


def test_who_lets_a_hold_lapse_waits_no_longer_for_the_rest(world: World) -> None:
    anna, ben = person(), person()
    assert world.claim(anna, 50).waiting == 49
    world.claim(ben)
    world.later(600)
    world.sweep()
    assert news(world) == [("waiting.gone", anna), ("hold.lapsed", anna), ("turn.offered", ben)]
    assert (states(world, anna), holders(world)) == (["gone"], [ben])
    assert world.counts() == (0, 1, 0, 0)


def test_what_nobody_else_waits_for_is_free_again(world: World) -> None:
    world.claim(person(), 50)
    world.later(600)
    world.sweep()
    assert world.counts() == (1, 0, 0, 0)


def test_who_lets_a_turn_lapse_or_passes_it_is_not_offered_the_next(world: World) -> None:
    holder, anna, ben = person(), person(), person()
    held = world.claim(holder)
    for buyer in (anna, ben):
        world.claim(buyer, 9)
    world.cancel(held.line_id, holder)
    assert holders(world) == [anna]
    world.later(600)
    world.sweep()
    assert (states(world, anna), holders(world)) == (["gone", "gone"], [ben])
    turn = Line.objects.get(buyer_id=ben)
    pass_turn(world, turn.id, ben)
    assert news(world) == [("turn.passed", ben), ("waiting.left", ben)]
    assert (states(world, ben), holders(world)) == (["passed", "passed"], [])
    assert world.counts() == (1, 0, 0, 0)


def test_of_two_whose_holds_end_together_none_is_offered_the_units_of_the_other(db: None) -> None:
    world = World.create(units=2)
    anna, ben, cleo = person(), person(), person()
    for buyer in (anna, ben):
        world.claim(buyer)
    for buyer in (ben, anna, cleo):
        world.claim(buyer)
    world.later(600)
    world.sweep()
    assert holders(world) == [cleo]
    assert world.counts() == (1, 1, 0, 0)


def test_a_place_far_back_is_found_in_the_table(world: World, monkeypatch) -> None:
    monkeypatch.setattr(waitlist, "HEADS", 2)
    anna, others = person(), [person() for _ in range(3)]
    world.claim(anna)
    for buyer in [*others, anna]:
        world.claim(buyer)
    world.later(600)
    world.sweep()
    assert (states(world, anna), holders(world)) == (["gone"], others[:1])
    assert world.counts() == (0, 1, 0, 2)


def test_an_absent_person_waits_in_no_room_that_sells_the_same_units(world: World) -> None:
    anna = person()
    world.claim(anna)
    world.claim(anna, 5, world.terms(scope_id=uuid7(), offer_id=uuid7()))
    world.later(600)
    world.sweep()
    assert (states(world, anna), world.counts()) == (["gone"], (1, 0, 0, 0))


def test_a_placed_order_whose_hold_lapses_takes_the_rest_along(world: World) -> None:
    """What still waited has moved to a new basket when the order was placed."""
    anna, ben = person(), person()
    got = world.claim(anna, 5)
    world.claim(ben)
    world.checkout(got.order_id, anna)
    assert Waiting.objects.get(buyer_id=anna).order_id != got.order_id
    world.later(600)
    world.sweep()
    assert (states(world, anna), holders(world)) == (["gone"], [ben])


@pytest.mark.parametrize("placed", [False, True], ids=["basket", "order"])
@pytest.mark.parametrize("by_staff", [False, True], ids=["buyer", "staff"])
def test_who_gives_units_back_does_not_get_them_again(world: World, placed: bool, by_staff: bool) -> None:
    anna, ben = person(), person()
    got = world.claim(anna, 5)
    world.claim(ben)
    if placed:
        world.checkout(got.order_id, anna)
    batch, who = world.on_lines(got.line_id), {"shop_id": world.shop_id} if by_staff else {"buyer": anna}
    batch.decide(world.now, lambda: batch.book.cancel(line_id=got.line_id, **who))
    assert (states(world, anna), holders(world)) == (["passed"], [ben])


def test_who_gives_up_an_order_does_not_get_its_units_again(world: World) -> None:
    anna, ben = person(), person()
    got = world.claim(anna, 5)
    world.claim(ben)
    world.checkout(got.order_id, anna)
    batch = world.batch()
    batch.book.want_order(got.order_id)
    batch.decide(world.now, lambda: batch.book.cancel_order(order_id=got.order_id, buyer=anna))
    assert (states(world, anna), holders(world)) == (["passed"], [ben])


def test_who_gives_some_units_back_keeps_the_others(db: None) -> None:
    world = World.create(units=3)
    anna, ben = person(), person()
    got = world.claim(anna, 5)
    world.claim(ben)
    assert world.cancel(got.line_id, anna, 1) == 2
    assert news(world) == [("line.cancelled", anna), ("waiting.left", anna), ("turn.offered", ben)]
    assert world.counts() == (0, 3, 0, 0)


def test_who_decides_about_one_offer_still_waits_for_another_of_the_same_units(world: World) -> None:
    anna, elsewhere = person(), world.terms(scope_id=uuid7(), offer_id=uuid7())
    got = world.claim(anna)
    waits = world.claim(anna, 1, elsewhere)
    world.cancel(got.line_id, anna)
    assert Waiting.objects.get(id=waits.entry_id).state == "offered"
    turn = Line.objects.get(buyer_id=anna, state="held")
    pass_turn(world, turn.id, anna)
    assert world.counts() == (1, 0, 0, 0)


def test_who_comes_back_after_a_lapse_stands_at_the_end(world: World) -> None:
    anna, ben = person(), person()
    world.claim(anna, 5)
    world.claim(ben)
    world.later(600)
    again = world.claim(anna, 2)
    assert (again.got, again.waiting, holders(world)) == (0, 2, [ben])
    assert sorted(states(world, anna)) == ["gone", "waiting"]


def test_who_pays_late_and_waited_for_more_gets_what_is_free(world: World) -> None:
    """Their own place in the list is none that they would overtake."""
    anna = person()
    got = world.claim(anna, 5)
    world.checkout(got.order_id, anna)
    begun = world.begin(got.order_id, anna)
    world.later(601)
    assert world.pay(begun.attempt_id, begun.amount_minor).outcome == "paid"
    assert world.counts() == (0, 0, 1, 0)
