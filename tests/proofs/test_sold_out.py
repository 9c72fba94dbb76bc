"""What is known to be sold out is refused without a transaction: never a repeat, never longer than it is true."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from chat.log import execute, gates
from chat.log.batch import Request
from chat.rooms.models import Room
from commerce.ids import new_id
from livesale.claims import gate
from tests.proofs.market import Market, drifts, new_people

pytestmark = [pytest.mark.database, pytest.mark.django_db]


# As the product has it; the tests below live with more.
KEEP = gate.KEEP


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # half a second may go by between two lines of a test; what is kept for a minute is there when it is looked for
    monkeypatch.setattr(gate, "KEEP", 60.0)
    gate._known.clear()
    yield
    gate._known.clear()


@pytest.fixture
def market() -> Market:
    """Two rooms that sell the same two units; Anna and Ben have them, and a place in line is Carl's."""
    market = Market.open(rooms=2, people=6, stock=2, waitlist_cap=1)
    for person in market.people[:3]:
        claim(market, person)
    return market


def wish(
    market: Market, person: UUID, *, client_id: UUID | None = None, at: int = 0, **more: object
) -> Request:
    body = {"offer": str(market.offers[at]), **more}
    return execute.build(
        market.rooms[at], "claim.place", body, actor_id=person, client_id=client_id or new_id()
    )


def claim(market: Market, person: UUID, *, client_id: UUID | None = None, at: int = 0) -> Request:
    """Claim one unit by a transaction."""
    request = wish(market, person, client_id=client_id, at=at)
    execute.execute_all([request])
    return request


def refused(request: Request) -> str:
    return str(getattr(request.error, "code", ""))


def is_turned_away(market: Market, at: int = 0) -> bool:
    """Whether somebody new who claims in that room is refused at the gate."""
    request = wish(market, market.people[5], at=at)
    left = gates.pass_on([request])
    assert bool(left) != bool(request.error)
    return not left


def test_a_refusal_teaches_the_gate(market: Market) -> None:
    assert not is_turned_away(market)
    first = claim(market, market.people[3])
    assert refused(first) == "claim.sold_out"
    second = wish(market, market.people[4])
    assert gates.pass_on([second]) == []
    assert (refused(second), second.error.params) == ("claim.sold_out", first.error.params)  # type: ignore[union-attr]
    # the other room has refused nobody yet
    assert not is_turned_away(market, at=1)


def test_a_repeat_gets_its_first_answer_though_all_is_sold(market: Market) -> None:
    person, client_id = market.people[3], new_id()
    market.do(market.shop, "stock.adjust", variant=str(market.variant), delta=2)
    accepted = claim(market, person, client_id=client_id)
    assert accepted.answer is not None and accepted.answer["got"] == 1
    while refused(claim(market, market.people[4])) != "claim.sold_out":
        pass
    assert is_turned_away(market)

    again = wish(market, person, client_id=client_id)
    assert gates.pass_on([again]) == []
    assert (again.answer, again.repeated, again.error) == (accepted.answer, True, None)
    another = wish(market, person, client_id=client_id, qty=2)
    assert gates.pass_on([another]) == []
    assert refused(another) == "command.reused"
    # somebody else's id is not a repeat
    stranger = wish(market, market.people[5], client_id=client_id)
    assert gates.pass_on([stranger]) == []
    assert (refused(stranger), stranger.repeated) == ("claim.sold_out", False)


def test_units_that_come_back_open_the_gate(market: Market) -> None:
    claim(market, market.people[3])
    claim(market, market.people[3], at=1)
    assert is_turned_away(market) and is_turned_away(market, at=1)
    market.do(market.shop, "stock.adjust", variant=str(market.variant), delta=3)
    assert not is_turned_away(market) and not is_turned_away(market, at=1)
    assert claim(market, market.people[4]).answer is not None
    assert drifts() == []


def test_what_stands_before_a_claim_may_free_a_unit(market: Market) -> None:
    claim(market, market.people[3])
    assert is_turned_away(market)
    give_back = execute.build(
        market.rooms[0], "claim.leave", {"waiting": str(new_id())}, actor_id=market.people[2]
    )
    later = wish(market, market.people[4])
    assert gates.pass_on([give_back, later]) == [give_back, later]


def test_nothing_is_known_for_longer_than_half_a_second(market: Market) -> None:
    assert KEEP == 0.5
    claim(market, market.people[3])
    assert is_turned_away(market)
    gate._known[market.offers[0]].until -= gate.KEEP
    assert not is_turned_away(market)


def test_a_batch_that_changes_the_offer_teaches_nothing(market: Market) -> None:
    change = execute.build(
        market.rooms[0],
        "offer.update",
        {"offer": str(market.offers[0]), "waitlist_cap": 9},
        actor_id=market.owner,
    )
    late = wish(market, market.people[3])
    execute.execute_all([late, change])
    assert refused(late) == "claim.sold_out" and change.error is None
    assert not is_turned_away(market)


def test_a_closed_room_says_no_only_to_its_own(market: Market) -> None:
    member, stranger = market.people[3], new_people(1, "Stranger")[0]
    market.do(market.rooms[0], "member.join", member)
    Room.objects.filter(id=market.rooms[0]).update(open=False)
    assert refused(claim(market, member)) == "claim.sold_out"
    again = wish(market, member)
    assert gates.pass_on([again]) == []
    asked = wish(market, stranger)
    assert gates.pass_on([asked]) == [asked]
    execute.execute_all([asked])
    assert refused(asked) == "stream.unknown"


def test_staff_who_claim_for_somebody_are_judged_by_the_transaction(market: Market) -> None:
    claim(market, market.people[3])
    asked = wish(market, market.owner, buyer=str(market.people[4]))
    assert gates.pass_on([asked]) == [asked]
