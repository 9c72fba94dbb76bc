"""Holds end once; then it is somebody's turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from commerce.catalogue.services import NewVariant, create_product
from commerce.errors import Refused
from commerce.models import Line, Waiting
from commerce.orders.services import core
from commerce.stock import waitlist
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


def waiting_world(world: World, people: int, qty: int = 1) -> tuple:
    """Everything is held by one person; others wait."""
    holder = person()
    held = world.claim(holder, 10)
    return holder, held, [(buyer := person(), world.claim(buyer, qty)) for _ in range(people)]


@pytest.mark.parametrize(("seconds", "lapsed"), [(599, False), (600, True), (601, True)])
def test_a_hold_lapses_at_its_deadline(world: World, seconds: int, lapsed: bool) -> None:
    answer = world.claim(person(), 2)
    world.later(seconds)
    world.sweep()
    assert world.line(answer.line_id).state == ("lapsed" if lapsed else "held")
    assert world.told() == (["hold.lapsed"] if lapsed else [])
    world.sweep()
    assert world.moves("release") == (1 if lapsed else 0)


def test_due_holds_lapse_before_the_next_claim_is_decided(world: World) -> None:
    world.claim(person(), 10)
    world.later(600)
    assert world.claim(person(), 10).got == 10


def test_the_next_in_line_is_served_with_a_window_of_their_own(world: World) -> None:
    _, held, ((first, entry), _) = waiting_world(world, 2)
    world.later(100)
    world.cancel(held.line_id, world.line(held.line_id).buyer_id, 1)
    assert world.told() == ["line.cancelled", "turn.offered"]
    news = world.last.book.news[1]
    line = world.line(news.line_id)
    assert (news.person_id, line.buyer_id, line.order_id, line.turn) == (first, first, entry.order_id, True)
    assert line.hold_until == world.now + timedelta(seconds=600)
    assert Waiting.objects.get(id=entry.entry_id).state == "offered"


def test_turns_come_in_the_order_of_waiting(world: World) -> None:
    _, held, queue = waiting_world(world, 5)
    world.cancel(held.line_id, world.line(held.line_id).buyer_id, 3)
    served = [n.person_id for n in world.last.book.news if n.kind == "turn.offered"]
    assert served == [buyer for buyer, _ in queue[:3]]
    assert world.counts() == (0, 10, 0, 2)


def test_a_turn_may_be_for_a_part(world: World) -> None:
    _, held, ((buyer, entry), _) = waiting_world(world, 2, qty=3)
    world.cancel(held.line_id, world.line(held.line_id).buyer_id, 2)
    left = Waiting.objects.get(id=entry.entry_id)
    assert (left.state, left.qty) == ("waiting", 1)
    assert Waiting.objects.get(state="offered").qty == 2
    assert Line.objects.get(buyer_id=buyer).qty == 2
    assert world.counts() == (0, 10, 0, 2)


def test_passing_a_turn_serves_the_next(world: World) -> None:
    _, held, ((first, _), (second, _)) = waiting_world(world, 2)
    world.cancel(held.line_id, world.line(held.line_id).buyer_id, 1)
    line = Line.objects.get(buyer_id=first)
    batch = world.on_lines(line.id)
    batch.decide(world.now, lambda: batch.book.pass_turn(line_id=line.id, buyer=first))
    assert world.told() == ["turn.passed", "turn.offered"]
    assert Line.objects.get(buyer_id=second).state == "held"
    assert Waiting.objects.get(buyer_id=first).state == "passed"


def test_a_turn_that_is_not_taken_goes_on(world: World) -> None:
    _, held, ((first, _), (second, _)) = waiting_world(world, 2)
    world.cancel(held.line_id, world.line(held.line_id).buyer_id, 1)
    world.later(599)
    world.sweep()
    assert Line.objects.filter(buyer_id=second).count() == 0
    world.later(1)
    world.sweep()
    assert {n.kind for n in world.last.book.news} == {"hold.lapsed", "turn.lapsed", "turn.offered"}
    assert Waiting.objects.get(buyer_id=first).state == "gone"
    assert Line.objects.get(buyer_id=second).state == "held"


def test_only_a_turn_can_be_passed(world: World) -> None:
    buyer = person()
    answer = world.claim(buyer)
    batch = world.on_lines(answer.line_id)
    with pytest.raises(Refused, match=r"line\.not_a_turn"):
        batch.decide(world.now, lambda: batch.book.pass_turn(line_id=answer.line_id, buyer=buyer))


def test_leaving_the_waiting_list(world: World) -> None:
    _, _, ((first, entry), (_, second)) = waiting_world(world, 2)
    for expected in (None, "waiting.unknown"):
        batch = world.batch()
        batch.book.want_entries(entry.entry_id)

        def leave(batch=batch):
            batch.book.leave_waitlist(entry_id=entry.entry_id, buyer=first)

        if expected is None:
            batch.decide(world.now, leave)
            assert world.told() == ["waiting.left"]
        else:
            with pytest.raises(Refused, match=expected):
                batch.decide(world.now, leave)
    batch = world.batch()
    batch.book.want_entries(second.entry_id)
    with pytest.raises(Refused, match=r"waiting\.unknown"):
        batch.decide(world.now, lambda: batch.book.leave_waitlist(entry_id=second.entry_id, buyer=first))


def test_a_hold_is_extended_once(world: World) -> None:
    buyer = person()
    answer = world.claim(buyer)
    for attempt in range(2):
        batch = world.on_lines(answer.line_id)

        def extend(batch=batch):
            return batch.book.extend(line_id=answer.line_id, buyer=buyer)

        if attempt:
            with pytest.raises(Refused, match=r"line\.extended"):
                batch.decide(world.now, extend)
        else:
            assert batch.decide(world.now, extend) == answer.hold_until + timedelta(seconds=300)
    world.later(899)
    world.sweep()
    assert world.line(answer.line_id).state == "held"
    world.later(1)
    world.sweep()
    assert world.line(answer.line_id).state == "lapsed"


def test_a_due_hold_cannot_be_extended_or_cancelled(world: World) -> None:
    buyer = person()
    answer = world.claim(buyer)
    world.later(600)
    with pytest.raises(Refused, match=r"line\.not_held"):
        world.cancel(answer.line_id, buyer)


def test_cancelling_twice_releases_once(world: World) -> None:
    buyer = person()
    answer = world.claim(buyer, 4)
    assert world.cancel(answer.line_id, buyer, 1) == 3
    assert world.cancel(answer.line_id, buyer) == 0
    with pytest.raises(Refused, match=r"line\.not_held"):
        world.cancel(answer.line_id, buyer)
    assert world.counts() == (10, 0, 0, 0)
    assert world.moves("release") == 2


@pytest.mark.parametrize("qty", [0, 5, -1, True, 1.0])
def test_parts_that_cannot_be_cancelled(world: World, qty: object) -> None:
    buyer = person()
    answer = world.claim(buyer, 4)
    with pytest.raises(Refused, match=r"line\.quantity"):
        world.cancel(answer.line_id, buyer, qty)


def test_somebody_elses_line_does_not_exist(world: World) -> None:
    answer = world.claim(person())
    with pytest.raises(Refused, match=r"line\.unknown"):
        world.cancel(answer.line_id, person())
    batch = world.on_lines(answer.line_id)
    with pytest.raises(Refused, match=r"line\.unknown"):
        batch.decide(world.now, lambda: batch.book.cancel(line_id=answer.line_id, shop_id=uuid7()))


def test_what_a_banned_person_held_goes_to_the_next(world: World) -> None:
    bad = person()
    world.claim(bad, 10)
    world.claim(bad, 2)
    good = person()
    world.claim(good, 3)
    batch = world.batch()
    batch.book.want_person(buyer=bad, shop_id=world.shop_id)
    dropped = batch.decide(world.now, lambda: batch.book.drop_person(buyer=bad, shop_id=world.shop_id))
    assert dropped == (10, False)
    assert world.counts() == (7, 3, 0, 0)
    assert Line.objects.get(buyer_id=good).state == "held"
    assert Waiting.objects.get(buyer_id=bad).state == "gone"


@pytest.mark.parametrize("free", [1, 0], ids=["held", "waiting"])
def test_what_a_banned_person_claims_meanwhile_elsewhere_is_left_for_another_batch(
    world: World, free: int
) -> None:
    """Another room's batch commits between the moment in which the pools are known and the one they are locked in."""
    bad = person()
    world.claim(bad, 4)
    other = create_product(
        shop_id=world.shop_id,
        code="13",
        title="Hat",
        variants=[NewVariant(price_minor=500, units=free)],
        now=world.now,
    ).variants.get()
    elsewhere = world.terms(
        offer_id=uuid7(), pool_id=other.pools.get().id, variant_id=other.id, unit_price_minor=500
    )
    batch = world.batch()
    batch.book.want_person(buyer=bad, shop_id=world.shop_id)
    lock = batch.book.lock
    meanwhile: list = []

    def lock_a_little_later() -> bool:
        if not meanwhile:
            meanwhile.append(world.claim(bad, 1, elsewhere))
        return lock()

    batch.book.lock = lock_a_little_later
    dropped = batch.decide(world.now, lambda: batch.book.drop_person(buyer=bad, shop_id=world.shop_id))
    assert dropped == (4, True)
    assert drifts() == []
    batch = world.batch()
    batch.book.want_person(buyer=bad, shop_id=world.shop_id)
    dropped = batch.decide(world.now, lambda: batch.book.drop_person(buyer=bad, shop_id=world.shop_id))
    assert dropped == (free, False)
    assert not Line.objects.filter(buyer_id=bad, state="held").exists()
    assert not Waiting.objects.filter(buyer_id=bad, state="waiting").exists()


def test_a_ban_in_one_sale_leaves_the_others(world: World) -> None:
    bad, other_sale = person(), uuid7()
    world.claim(bad, 2)
    kept = world.claim(bad, 1, world.terms(scope_id=other_sale))
    batch = world.batch()
    batch.book.want_person(buyer=bad, shop_id=world.shop_id, scope_id=world.scope_id)
    batch.decide(
        world.now,
        lambda: batch.book.drop_person(buyer=bad, shop_id=world.shop_id, scope_id=world.scope_id),
    )
    assert world.line(kept.line_id).state == "held"
    assert world.counts() == (9, 1, 0, 0)


def test_work_is_bounded_and_what_is_left_is_reported(world: World, monkeypatch) -> None:
    monkeypatch.setattr(core, "LAPSES", 2)
    monkeypatch.setattr(waitlist, "HEADS", 2)
    for _ in range(5):
        world.claim(person(), 2)
    people = [person() for _ in range(5)]
    for buyer in people:
        world.claim(buyer, 1)
    world.later(600)
    served: list = []
    while True:
        batch = world.sweep()
        served += [n.person_id for n in batch.book.news if n.kind == "turn.offered"]
        if not batch.book.more():
            break
        assert batch.book.more() == {world.pool_id}
        # nobody overtakes those who are still in the table
        if world.pool().waiting:
            assert world.claim(person(), 1).got == 0
            served += [n.person_id for n in world.last.book.news if n.kind == "turn.offered"]
    assert served[:5] == people
    assert world.pool().waiting == 0 or world.pool().free == 0
