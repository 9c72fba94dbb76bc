"""What a batch costs, and that two batches at once do not oversell."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from commerce.errors import Conflict, Refused
from commerce.models import Line, Movement, Waiting
from commerce.stock import services
from commerce.stock.services import StockBook
from commerce.verify import drifts
from tests.commerce.world import Batch, World, person, want_claim

pytestmark = pytest.mark.database

TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def statements(world: World, buyers: list, terms, qty: int = 1) -> int:
    batch = world.batch()
    for buyer in buyers:
        want_claim(batch.book, terms, buyer)

    def claims() -> None:
        for buyer in buyers:
            batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=qty, now=world.now)

    with CaptureQueriesContext(connection) as seen:
        batch.decide(world.now, claims)
    return sum(not query["sql"].startswith(TRANSACTION) for query in seen.captured_queries)


def test_a_batch_of_claims_costs_a_constant_number_of_statements(db: None) -> None:
    world = World.create(units=1000)
    terms = world.terms(limit_per_buyer=9, max_unpaid_units=99)
    few = statements(world, [person() for _ in range(5)], terms)
    many = statements(world, [person() for _ in range(500)], terms)
    assert few == many <= 12
    world.later(600)
    assert statements(world, [person() for _ in range(500)], terms) <= 12
    assert drifts() == []


def test_so_does_a_batch_that_is_filled_in_part_and_waits(db: None) -> None:
    world = World.create(units=250)
    terms = world.terms(waitlist_cap=1000, limit_per_buyer=9)
    assert statements(world, [person() for _ in range(500)], terms) <= 12
    assert (Line.objects.count(), Waiting.objects.count()) == (250, 250)
    assert statements(world, [person() for _ in range(500)], terms) <= 12
    assert drifts() == []


def test_claims_on_many_pools_share_their_statements(db: None) -> None:
    world = World.create(units=100)
    others = []
    batch = world.batch()
    batch.stock.want(world.pool_id)
    batch.decide(
        world.now,
        lambda: others.extend(batch.stock.open(parent_id=world.pool_id, units=3) for _ in range(20)),
    )
    many = [world.terms(pool_id=pool, offer_id=uuid7()) for pool in others]
    batch, buyers = world.batch(), [person() for _ in range(20)]
    for terms, buyer in zip(many, buyers, strict=True):
        want_claim(batch.book, terms, buyer)

    def claims() -> None:
        for terms, buyer in zip(many, buyers, strict=True):
            batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=2, now=world.now)

    with CaptureQueriesContext(connection) as seen:
        batch.decide(world.now, claims)
    assert sum(not query["sql"].startswith(TRANSACTION) for query in seen.captured_queries) <= 12
    assert len(batch.stock.changed()) == 20


def test_a_refused_decision_leaves_no_trace_in_its_batch(db: None) -> None:
    world = World.create(units=3)
    terms, batch, buyers = world.terms(waitlist_cap=0), world.batch(), [person() for _ in range(3)]
    for buyer in buyers:
        want_claim(batch.book, terms, buyer)
    refused = []

    def claims() -> None:
        for buyer, qty in zip(buyers, (2, 5000, 1), strict=True):
            try:
                batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=qty, now=world.now)
            except Refused as no:
                refused.append(no.code)

    batch.decide(world.now, claims)
    assert refused == ["claim.quantity"]
    assert Movement.objects.filter(kind="hold").count() == 2
    assert world.counts() == (0, 3, 0, 0)


@pytest.mark.only("sqlite")  # PostgreSQL rightly scans small tables
@pytest.mark.parametrize(("later", "questions"), [(0, 5), (600, 6)], ids=["claim", "lapse"])
def test_no_read_of_a_batch_scans_a_table(db: None, later: int, questions: int) -> None:
    """A batch late in a sale must cost what the first one did. SQLite says how it would read, whatever the size."""
    world = World.create(units=1)
    world.claim(person(), 2)
    world.later(later)
    terms, buyer, batch = world.terms(), person(), world.batch()
    want_claim(batch.book, terms, buyer)
    batch.stock.want(world.pool_id)
    services._parents.clear()
    with CaptureQueriesContext(connection) as seen:
        batch.decide(world.now, lambda: None)
    reads = [query["sql"] for query in seen.captured_queries if query["sql"].startswith(("SELECT", "WITH"))]
    assert len(reads) == questions
    with connection.cursor() as cursor:
        for sql in reads:
            cursor.execute("EXPLAIN QUERY PLAN " + sql)
            plan = [row[3] for row in cursor.fetchall()]
            assert not [step for step in plan if step.startswith("SCAN commerce_")], plan


class Unlocked(StockBook):
    """The control: no lock, and nobody looks whether the pool is as it was read."""

    guards = ()

    def lock(self) -> None:
        pass


def race(world: World, book: type[StockBook], attempts: int, threads: int) -> list[str]:
    """Threads with connections of their own claim one unit each in a transaction each. Returns what went wrong."""
    start, wrong, terms = threading.Barrier(threads), [], world.terms(waitlist_cap=0)

    def buy() -> None:
        start.wait()
        try:
            for _ in range(attempts // threads):
                batch, buyer = Batch(book()), person()
                want_claim(batch.book, terms, buyer)
                try:
                    batch.decide(
                        world.now,
                        lambda batch=batch, buyer=buyer: batch.book.claim(
                            terms=terms, buyer=buyer, placed_by=buyer, qty=1, now=world.now
                        ),
                    )
                except Refused:
                    pass
                except Conflict as error:
                    wrong.append(str(error))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=buy) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


@pytest.mark.slow
def test_threads_do_not_oversell(transactional_db: None) -> None:
    world = World.create(units=20)
    assert race(world, StockBook, attempts=80, threads=4) == []
    assert world.counts() == (0, 20, 0, 0)
    assert Line.objects.count() == 20
    assert drifts() == []


@pytest.mark.slow
@pytest.mark.only("postgres")  # on SQLite BEGIN IMMEDIATE is the lock
def test_without_the_lock_they_would(transactional_db: None) -> None:
    world = World.create(units=20)
    race(world, Unlocked, attempts=80, threads=4)
    assert Line.objects.count() > 20
    assert any(drift.kind == "pool.held_lines" for drift in drifts())


@pytest.mark.slow
@pytest.mark.only("postgres")  # on SQLite BEGIN IMMEDIATE is the lock
def test_without_the_lock_the_guard_still_refuses(transactional_db: None) -> None:

    class Guarded(Unlocked):
        guards = StockBook.guards

    world = World.create(units=20)
    assert race(world, Guarded, attempts=80, threads=4)
    assert Line.objects.count() <= 20
    assert drifts() == []
