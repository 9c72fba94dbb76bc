"""Pools: what comes in, what is counted, what a drop takes and gives back."""

from __future__ import annotations

import pytest
from uuid_utils.compat import uuid7

from commerce.errors import Conflict, Refused
from commerce.models import Movement, Pool
from commerce.parts import run
from commerce.stock.services import StockBook
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


def on_pools(world: World, decision, *pool_ids):
    batch = world.batch()
    batch.stock.want(*(pool_ids or [world.pool_id]))
    return batch.decide(world.now, lambda: decision(batch.stock))


def open_drop(world: World, units: int):
    return on_pools(world, lambda stock: stock.open(parent_id=world.pool_id, units=units, label="drop"))


def test_receiving_and_counting(world: World) -> None:
    on_pools(world, lambda s: s.receive(pool_id=world.pool_id, qty=5, actor=world.owner))
    on_pools(world, lambda s: s.adjust(pool_id=world.pool_id, delta=-3, reason="broken"))
    assert world.counts() == (12, 0, 0, 0)
    assert world.pool().version == 3
    assert list(Movement.objects.order_by("id").values_list("kind", "d_stock", "reason")) == [
        ("receive", 10, "initial"),
        ("receive", 5, ""),
        ("adjust", -3, "broken"),
    ]


def test_held_units_cannot_be_counted_away(world: World) -> None:
    world.claim(person(), 8)
    with pytest.raises(Refused, match=r"stock\.too_few"):
        on_pools(world, lambda s: s.adjust(pool_id=world.pool_id, delta=-3))
    assert world.counts() == (2, 8, 0, 0)


@pytest.mark.parametrize("qty", [0, -1, True, 1.0, "1", None])
def test_quantities_must_be_positive_integers(world: World, qty: object) -> None:
    with pytest.raises(Refused, match=r"stock\.bad_quantity"):
        on_pools(world, lambda s: s.receive(pool_id=world.pool_id, qty=qty))


def test_what_comes_in_goes_to_those_who_wait(world: World) -> None:
    world.claim(person(), 10)
    world.claim(person(), 2)
    on_pools(world, lambda s: s.receive(pool_id=world.pool_id, qty=5))
    assert world.told() == ["turn.offered"]
    assert world.counts() == (3, 12, 0, 0)


def test_a_drop_takes_units_and_gives_them_back(world: World) -> None:
    drop = open_drop(world, 4)
    assert (world.counts()[0], world.counts(drop)[0]) == (6, 4)
    buyer = person()
    held = world.claim(buyer, 3, world.terms(pool_id=drop))
    on_pools(world, lambda s: s.close(pool_id=drop), drop)
    assert (world.counts()[0], world.counts(drop)) == (7, (0, 3, 0, 0))
    world.cancel(held.line_id, buyer, 1)
    assert (world.counts()[0], world.counts(drop)) == (8, (0, 2, 0, 0))
    with pytest.raises(Refused, match=r"offer\.closed"):
        world.claim(person(), 1, world.terms(pool_id=drop))
    on_pools(world, lambda s: s.close(pool_id=drop), drop)
    world.later(600)
    batch = world.batch()
    batch.book.want_pool_holds(drop)
    batch.decide(world.now, lambda: None)
    assert (world.counts()[0], world.counts(drop)) == (10, (0, 0, 0, 0))


def test_a_refund_of_a_closed_drop_goes_to_the_parent(world: World) -> None:
    drop, buyer = open_drop(world, 4), person()
    held = world.claim(buyer, 2, world.terms(pool_id=drop))
    world.checkout(held.order_id, buyer)
    begun = world.begin(held.order_id, buyer)
    on_pools(world, lambda s: s.close(pool_id=drop), drop)
    world.pay(begun.attempt_id, begun.amount_minor)
    assert world.counts(drop) == (0, 0, 2, 0)
    world.refund(held.order_id, lines={held.line_id: 1})
    assert (world.counts()[0], world.counts(drop)) == (9, (0, 0, 1, 0))


def test_closing_a_drop_ends_its_waiting_list_and_serves_the_parents(world: World) -> None:
    drop = open_drop(world, 4)
    world.claim(person(), 3, world.terms(pool_id=drop))
    world.claim(person(), 6)
    eager = person()
    world.claim(eager, 2)  # waits on the parent
    late = person()
    world.claim(late, 2, world.terms(pool_id=drop))  # one held, one waiting
    assert world.counts(drop)[3] == 1
    on_pools(world, lambda s: s.close(pool_id=drop), drop)
    assert ("waiting.gone", late) in [(n.kind, n.person_id) for n in world.last.book.news]
    assert world.counts(drop) == (0, 4, 0, 0)


def test_drops_do_not_nest_and_take_only_what_is_free(world: World) -> None:
    drop = open_drop(world, 4)
    with pytest.raises(Refused, match=r"stock\.nested"):
        on_pools(world, lambda s: s.open(parent_id=drop, units=1), drop)
    with pytest.raises(Refused, match=r"stock\.too_few"):
        open_drop(world, 7)


def test_units_move_between_pools_of_one_variant(world: World) -> None:
    drop = open_drop(world, 1)
    on_pools(world, lambda s: s.transfer(source_id=world.pool_id, target_id=drop, qty=2), drop)
    assert (world.counts()[0], world.counts(drop)[0]) == (7, 3)
    stranger = World.create()
    with pytest.raises(Refused, match=r"stock\.other_variant"):
        on_pools(
            world,
            lambda s: s.transfer(source_id=world.pool_id, target_id=stranger.pool_id, qty=1),
            world.pool_id,
            stranger.pool_id,
        )


def test_a_write_behind_the_back_is_a_conflict_and_nothing_is_kept(world: World) -> None:
    stock = StockBook()
    stock.want(world.pool_id)

    def meddle() -> None:
        stock.receive(pool_id=world.pool_id, qty=1)
        Pool.objects.filter(id=world.pool_id).update(version=99)

    with pytest.raises(Conflict):
        run(stock, now=world.now, decide=meddle)
    assert world.counts() == (10, 0, 0, 0)


def test_unknown_pools(world: World) -> None:
    with pytest.raises(Refused, match=r"stock\.unknown"):
        on_pools(world, lambda s: s.receive(pool_id=uuid7(), qty=1))
