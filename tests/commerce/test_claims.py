"""Who gets which units, who waits, who is refused."""

from __future__ import annotations

import pytest
from uuid_utils.compat import uuid7

from commerce.errors import Refused
from commerce.models import Line, Order, Waiting
from commerce.verify import drifts
from tests.commerce.world import World, person, want_claim

pytestmark = pytest.mark.database


def refusal(call, *args, **kwargs) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    return caught.value


def test_a_claim_holds_units_in_the_buyers_basket(world: World) -> None:
    buyer = person()
    answer = world.claim(buyer, 3)
    assert (answer.got, answer.waiting, answer.missed) == (3, 0, 0)
    line = world.line(answer.line_id)
    assert (line.state, line.qty, line.unit_price_minor, line.currency) == ("held", 3, 1500, "EUR")
    assert (line.hold_until - world.now).total_seconds() == 600
    assert line.terms["extension"] == 300
    assert world.counts() == (7, 3, 0, 0)
    order = world.order(answer.order_id)
    assert (order.state, order.buyer_id, order.scope_id) == ("open", buyer, world.scope_id)


def test_claims_of_one_buyer_share_a_basket_within_and_across_batches(world: World) -> None:
    buyer, terms, batch = person(), world.terms(), world.batch()
    want_claim(batch.book, terms, buyer)

    def twice():
        return [
            batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=1, now=world.now)
            for _ in range(2)
        ]

    first, second = batch.decide(world.now, twice)
    third = world.claim(buyer)
    assert first.order_id == second.order_id == third.order_id
    assert Order.objects.count() == 1
    assert world.claim(buyer, terms=world.terms(scope_id=uuid7())).order_id != first.order_id


def test_a_part_fill_waits_for_the_rest(world: World) -> None:
    answer = world.claim(person(), 12)
    assert (answer.got, answer.waiting, answer.missed, answer.place) == (10, 2, 0, 1)
    assert world.counts() == (0, 10, 0, 1)


def test_a_part_fill_without_waiting_list_says_what_is_missing(world: World) -> None:
    answer = world.claim(person(), 12, world.terms(waitlist_cap=0))
    assert (answer.got, answer.waiting, answer.missed, answer.place) == (10, 0, 2, None)


def test_places_count_people_and_nobody_overtakes(world: World) -> None:
    world.claim(person(), 10)
    assert [world.claim(person(), qty).place for qty in (2, 1, 1)] == [1, 2, 3]
    # one unit comes back, too few for the first in line, who gets it all the same; the newcomer waits
    line = Line.objects.get()
    world.cancel(line.id, line.buyer_id, 1)
    answer = world.claim(person(), 1)
    assert (answer.got, answer.place) == (0, 4)
    assert world.counts() == (0, 10, 0, 4)


def test_sold_out_is_refused_without_a_trace(world: World) -> None:
    world.claim(person(), 10)
    refused = refusal(world.claim, person(), 1, world.terms(waitlist_cap=0))
    assert (refused.code, refused.temporary) == ("claim.sold_out", False)
    world.claim(person(), 1, world.terms(waitlist_cap=1))
    assert refusal(world.claim, person(), 1, world.terms(waitlist_cap=1)).params == {"waiting": 1, "cap": 1}
    assert Order.objects.count() == 2


@pytest.mark.parametrize("qty", [0, -1, 1000, 1.5, True, "1", None, 2**31, 2**63, float("nan")])
def test_quantities_that_are_not_whole_numbers_from_1_to_999(world: World, qty: object) -> None:
    assert refusal(world.claim, person(), qty).code == "claim.quantity"
    assert world.counts() == (10, 0, 0, 0)


def test_the_limit_counts_what_is_held_paid_and_waited_for(world: World) -> None:
    buyer, terms = person(), world.terms(limit_per_buyer=4)
    world.claim(person(), 8)
    first = world.claim(buyer, 3, terms)  # two held, one waiting
    assert (first.got, first.waiting) == (2, 1)
    refused = refusal(world.claim, buyer, 2, terms)
    assert (refused.code, refused.params) == ("claim.limit", {"limit": 4, "used": 3, "left": 1})
    world.checkout(first.order_id, buyer)
    begun = world.begin(first.order_id, buyer)
    world.pay(begun.attempt_id, begun.amount_minor)
    assert refusal(world.claim, buyer, 2, terms).params["used"] == 3
    assert world.claim(buyer, 1, terms).place == 2


def test_the_limit_holds_within_a_batch_and_frees_what_lapsed(world: World) -> None:
    buyer, terms = person(), world.terms(limit_per_buyer=2)
    world.claim(buyer, 2, terms)
    assert refusal(world.claim, buyer, 1, terms).code == "claim.limit"
    world.later(600)
    assert world.claim(buyer, 2, terms).got == 2

    other, batch = person(), world.batch()
    want_claim(batch.book, terms, other)
    codes = []

    def three():
        for _ in range(3):
            try:
                batch.book.claim(terms=terms, buyer=other, placed_by=other, qty=1, now=world.now)
            except Refused as refused:
                codes.append(refused.code)

    batch.decide(world.now, three)
    assert codes == ["claim.limit"]


def test_unpaid_units_are_capped_over_all_offers_of_the_shop(world: World) -> None:
    buyer = person()
    world.claim(buyer, 3)
    terms = world.terms(offer_id=uuid7(), max_unpaid_units=4)
    refused = refusal(world.claim, buyer, 2, terms)
    assert (refused.code, refused.params) == ("claim.unpaid_cap", {"cap": 4, "held": 3})
    assert world.claim(buyer, 1, terms).got == 1


def test_what_is_waited_for_counts_like_what_is_held(world: World) -> None:
    """Or a restock would hold for one person whatever they have queued for."""
    world.claim(person(), 10)
    buyer, terms = person(), world.terms(max_unpaid_units=20)
    refused = refusal(world.claim, buyer, 999, terms)
    assert (refused.code, refused.params) == ("claim.unpaid_cap", {"cap": 20, "held": 0})
    first = world.claim(buyer, 12, terms)
    elsewhere = world.terms(offer_id=uuid7(), scope_id=uuid7(), max_unpaid_units=20)
    assert refusal(world.claim, buyer, 9, elsewhere).params == {"cap": 20, "held": 12}
    assert world.claim(buyer, 8, elsewhere).waiting == 8
    batch = world.batch()
    batch.book.want_entries(first.entry_id)
    batch.decide(world.now, lambda: batch.book.leave_waitlist(entry_id=first.entry_id, buyer=buyer))
    assert refusal(world.claim, buyer, 13, terms).params == {"cap": 20, "held": 8}
    assert world.claim(buyer, 12, terms).waiting == 12


def test_units_whose_turn_has_come_count_once(world: World) -> None:
    holder, buyer, terms = person(), person(), world.terms(max_unpaid_units=5)
    held = world.claim(holder, 10)
    world.claim(buyer, 4, terms)
    world.cancel(held.line_id, holder, 3)
    # three are held now, one is waited for; in the same batch another turn comes
    batch = world.batch()
    want_claim(batch.book, terms, buyer)
    batch.book.want_lines(held.line_id)

    def serve_and_claim():
        batch.book.cancel(line_id=held.line_id, buyer=holder, qty=2)
        return batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=1, now=world.now)

    assert batch.decide(world.now, serve_and_claim).got == 1
    assert refusal(world.claim, buyer, 1, terms).params == {"cap": 5, "held": 5}


def test_the_cap_holds_within_a_batch(world: World) -> None:
    buyer, terms, batch = person(), world.terms(max_unpaid_units=14), world.batch()
    want_claim(batch.book, terms, buyer)

    def three():
        first = batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=12, now=world.now)
        refused = refusal(batch.book.claim, terms=terms, buyer=buyer, placed_by=buyer, qty=3, now=world.now)
        assert refused.params == {"cap": 14, "held": 12}
        second = batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=2, now=world.now)
        return first.got, first.waiting, second.waiting

    assert batch.decide(world.now, three) == (10, 2, 2)


def test_what_nobody_gives_counts_for_nothing(world: World) -> None:
    """Without a waiting list a part fill holds what is there; what is missed is not counted."""
    terms = world.terms(max_unpaid_units=10, waitlist_cap=0)
    answer = world.claim(person(), 30, terms)
    assert (answer.got, answer.missed) == (10, 20)


def test_the_terms_must_fit_the_pool(world: World) -> None:
    assert refusal(world.claim, person(), 1, world.terms(shop_id=uuid7())).code == "offer.unknown"
    assert refusal(world.claim, person(), 1, world.terms(variant_id=uuid7())).code == "offer.unknown"
    assert refusal(world.claim, person(), 1, world.terms(pool_id=uuid7())).code == "offer.unknown"


def test_a_batch_decides_in_the_order_of_arrival(world: World) -> None:
    terms, batch = world.terms(waitlist_cap=2), world.batch()
    people = [person() for _ in range(14)]
    for buyer in people:
        want_claim(batch.book, terms, buyer)

    def all_of_them():
        answers = []
        for buyer in people:
            try:
                answers.append(
                    batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=1, now=world.now)
                )
            except Refused:
                answers.append(None)
        return answers

    answers = batch.decide(world.now, all_of_them)
    assert [a.got if a else None for a in answers] == [1] * 10 + [0, 0, None, None]
    assert [a.place for a in answers[10:12]] == [1, 2]
    assert list(Waiting.objects.order_by("rank").values_list("buyer_id", flat=True)) == people[10:12]
    (count,) = batch.stock.changed()
    assert (count.free, count.held, count.waiting, count.version) == (0, 10, 2, world.pool().version)
    assert drifts() == []
