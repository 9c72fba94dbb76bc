"""Many connections at once: what must hold whoever else writes, locks, dies or pumps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.db import OperationalError, connection, connections
from django.db.backends.utils import CursorWrapper

from chat.log import clock, execute, pump, transaction
from chat.log import lane as lane_module
from chat.log.batch import Request
from chat.log.execute import execute_all
from chat.log.lane import Lane
from chat.log.models import Event, Outbox, Receipt, StreamHead
from tests.chat.cutter import Cutter
from tests.chat.world import World, counts, in_threads, numbers, outside, request, run
from tests.sample_subject import commands as sample

pytestmark = pytest.mark.database


@contextmanager
def serving() -> Iterator[Lane]:
    """This process serves: `execute` goes through a lane."""
    lane = Lane(lambda outcome: None)
    lane.start()
    execute.use_lane(lane)
    try:
        yield lane
    finally:
        execute.use_lane(None)
        lane.stop()


def count_in(room: UUID, person: UUID, times: int) -> list[str]:
    """Count one by one, patiently; returns the ids that were acknowledged."""
    done = []
    for _ in range(times):
        r = request(room, "sample.count", person)
        execute_all([r])
        assert r.error is None, r.error
        done.append(str(r.client_id))
    return done


def test_messages_gather_and_whatever_is_in_a_hurry_takes_them_along(
    lasting_world: World, monkeypatch: pytest.MonkeyPatch
):
    # they would gather for a quarter of an hour
    monkeypatch.setattr(lane_module, "GATHER_EACH", 1_000.0)
    monkeypatch.setattr(lane_module, "GATHER", 1_000.0)
    world = lasting_world

    def say() -> Request:
        return execute.build(world.room, "message.send", {"text": "hello"}, actor_id=world.member)

    with serving() as lane:
        first = say()
        execute_all([first])
        assert (first.error, lane.batches) == (None, 1)
        told = threading.Event()
        second, third = say(), say()
        third.done = lambda _: told.set()
        lane.submit(second)
        lane.submit(third)
        execute_all([request(world.room, "sample.count", world.guest)])
        assert told.wait(10)
        assert (second.error, third.error, lane.batches) == (None, None, 2)
        last = say()
        lane.submit(last)
    # a lane that ends waits for nothing
    assert last.answer is not None


def test_who_does_not_wait_any_longer_is_told_nothing_that_is_not_committed(
    lasting_world: World, monkeypatch: pytest.MonkeyPatch
):
    """The caller gives up after the decision and before the COMMIT, which then fails, and all is decided anew."""
    world = lasting_world
    monkeypatch.setattr(execute, "ANSWER_TIMEOUT", 0.05)
    decided, given_up = threading.Event(), threading.Event()

    def stall() -> None:
        if not decided.is_set():
            decided.set()
            given_up.wait(30)
            raise OperationalError("the disk has come back, the transaction has not")

    monkeypatch.setattr(sample.Tally, "in_write", staticmethod(stall))
    mine = request(world.room, "sample.count", world.guest)
    with serving() as lane:
        execute_all([mine])
        assert decided.is_set()
        assert mine.answer is None
        assert mine.error is not None
        assert (mine.error.code, mine.error.temporary) == ("server.busy", True)
        assert not Receipt.objects.filter(client_id=mine.client_id).exists()
        given_up.set()
        while lane.batches == 0:
            time.sleep(0.01)
    # what the lane has done meanwhile is had by asking again, and not by looking at what was given up
    assert mine.answer is None
    again = execute.build(world.room, "sample.count", {}, actor_id=world.guest, client_id=mine.client_id)
    execute_all([again])
    assert (again.answer, again.repeated) == ({"total": 1}, True)


def test_numbers_have_no_gap_whatever_writes_at_once(lasting_world: World):
    world = lasting_world
    rooms = [world.room, world.another_room()]
    with serving() as lane:

        def through_the_lane() -> None:
            requests = [request(room, "sample.count", world.guest) for _ in range(10) for room in rooms]
            execute_all(requests)
            assert all(r.error is None for r in requests)

        def beside_it() -> None:
            # as another process does: its own transaction, no lane
            for _ in range(8):
                batch = [request(room, "sample.count", world.member) for room in rooms]
                waiting = batch
                while waiting:
                    waiting = transaction.run(waiting).deferred
                assert all(r.error is None for r in batch)

        in_threads(through_the_lane, through_the_lane, beside_it, beside_it)
        assert lane.executed == 40
    for room in rooms:
        assert len(counts(room)) == 36
        assert numbers(room) == list(range(1, len(numbers(room)) + 1))
        assert StreamHead.objects.get(stream_id=room).seq == len(numbers(room))
        totals = Event.objects.filter(stream_id=room, kind="sample.counted").order_by("seq")
        assert [body["total"] for body in totals.values_list("body", flat=True)] == list(range(1, 37))


def test_the_same_id_from_two_sides_at_once_happens_once(lasting_world: World):
    world = lasting_world
    other = world.another_room()
    for _ in range(5):
        once = request(world.room, "sample.count", world.guest)
        twin = request(world.room, "sample.count", world.guest, id=once.client_id)
        elsewhere = request(other, "sample.count", world.guest, id=once.client_id)

        def settle(r):
            waiting = [r]
            while waiting:
                waiting = transaction.run(waiting).deferred

        in_threads(*[lambda r=r: settle(r) for r in (once, twin, elsewhere)])
        answers = [r for r in (once, twin) if r.error is None]
        if elsewhere.error is None:
            assert not answers
            assert {r.error.code for r in (once, twin)} == {"command.reused"}
        else:
            assert elsewhere.error.code == "command.reused"
            assert len(answers) == 2
            assert sorted(r.repeated for r in answers) == [False, True]
            assert once.answer == twin.answer
    assert len(counts(world.room)) + len(counts(other)) == 5
    assert Receipt.objects.filter(actor_id=world.guest).count() == 5


def test_two_pumps_keep_every_promise_once(lasting_world: World):
    world = lasting_world
    other = world.another_room()
    for _ in range(40):
        run(request(world.room, "sample.later", world.guest, streams=[world.room, other]))
    assert Outbox.objects.count() == 80

    def pump_dry() -> None:
        while Outbox.objects.exists():
            pump.pump_commands()

    in_threads(pump_dry, pump_dry)
    assert (len(counts(world.room)), len(counts(other))) == (40, 40)


def test_a_promise_whose_lease_ran_out_is_still_kept_once(lasting_world: World):
    world = lasting_world
    run(*[request(world.room, "sample.later", world.guest, streams=[world.room]) for _ in range(10)])
    rows = list(Outbox.objects.values())
    commands = [pump._command(row, clock.now()) for row in rows]
    twins = [pump._command(row, clock.now()) for row in rows]

    def keep(promised):
        waiting = promised
        while waiting:
            waiting = transaction.run(waiting).deferred

    in_threads(lambda: keep(commands), lambda: keep(twins))
    assert len(counts(world.room)) == 10
    assert sorted(r.repeated for r in [*commands, *twins]) == [False] * 10 + [True] * 10
    assert not Outbox.objects.exists()


# --- PostgreSQL's own -----------------------------------------------------------------------------------------------


def wait_for_a_waiter(cursor: CursorWrapper) -> None:
    """Until somebody waits for an advisory lock. That they are about to ask for it says nothing: they may be slow."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        cursor.execute(
            "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
        if cursor.fetchone():
            return
        time.sleep(0.01)
    raise TimeoutError("nobody waits for an advisory lock")


@pytest.mark.only("postgres")
def test_a_deadlock_is_retried_and_nobody_hears_of_it(lasting_world: World):
    world = lasting_world
    taken = threading.Event()
    attempts: list[int] = []

    def grab_two() -> None:
        attempts.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '20ms'")
            cursor.execute("SELECT pg_advisory_xact_lock(1)")
            taken.set()
            if len(attempts) == 1:
                wait_for_a_waiter(cursor)
            cursor.execute("SELECT pg_advisory_xact_lock(2)")

    def somebody_else() -> None:
        with outside() as other:
            other.execute("SET deadlock_timeout = '60s'")
            other.execute("BEGIN")
            other.execute("SELECT pg_advisory_xact_lock(2)")
            taken.wait(30)
            other.execute("SELECT pg_advisory_xact_lock(1)")
            other.execute("ROLLBACK")

    sample.Tally.in_lock = grab_two
    mine = request(world.room, "sample.count", world.guest)
    in_threads(lambda: run(mine), somebody_else)
    assert (mine.error, mine.answer, len(attempts)) == (None, {"total": 1}, 2)
    assert len(counts(world.room)) == 1


@pytest.mark.only("postgres")
@pytest.mark.parametrize(("failures", "code"), [(1, None), (2, "server.busy")])
def test_a_serialization_failure_is_retried_once(lasting_world: World, failures: int, code: str | None):
    world = lasting_world
    left = [failures]

    def fail() -> None:
        if left[0]:
            left[0] -= 1
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$")

    sample.Tally.in_write = fail
    batch = [request(world.room, "sample.count", world.guest) for _ in range(3)]
    run(*batch)
    assert {r.error.code if r.error else None for r in batch} == {code}
    assert len(counts(world.room)) == (0 if code else 3)


@pytest.mark.only("postgres")
def test_a_head_that_somebody_holds_delays_its_stream_only(
    lasting_world: World, monkeypatch: pytest.MonkeyPatch
):
    # the other stream may take its time
    monkeypatch.setattr(transaction, "LOCKED_PATIENCE", 60.0)
    world = lasting_world
    other = world.another_room()
    with outside() as psql, serving() as lane:
        psql.execute("BEGIN")
        psql.execute("SELECT 1 FROM stream_head WHERE stream_id = %s FOR UPDATE", [world.room])
        stuck = request(world.room, "sample.count", world.guest)
        done = threading.Event()
        stuck.done = lambda r: done.set()
        lane.submit(stuck)
        count_in(other, world.guest, 10)
        assert not done.is_set()
        assert len(counts(other)) == 10
        psql.execute("ROLLBACK")
        assert done.wait(10)
        assert (stuck.error, stuck.answer) == (None, {"total": 1})


@pytest.mark.only("postgres")
def test_patience_with_a_locked_head_ends_in_busy_and_the_order_is_kept(lasting_world: World, monkeypatch):
    world = lasting_world
    with outside() as psql, serving():
        psql.execute("BEGIN")
        psql.execute("SELECT 1 FROM stream_head WHERE stream_id = %s FOR UPDATE", [world.room])
        monkeypatch.setattr(transaction, "LOCKED_PATIENCE", 0.1)
        batch = [request(world.room, "sample.count", world.guest, by=n) for n in (1, 2)]
        execute_all(batch)
        assert {(r.error.code, r.error.temporary) for r in batch} == {("server.busy", True)}
        psql.execute("ROLLBACK")
        again = [
            request(world.room, "sample.count", world.guest, by=r.body.by, id=r.client_id) for r in batch
        ]
        execute_all(again)
        assert [r.answer for r in again] == [{"total": 1}, {"total": 3}]


@pytest.mark.only("postgres")
def test_of_a_batch_only_those_who_need_a_lock_that_cannot_be_had_are_told_to_wait(
    lasting_world: World, monkeypatch
):
    world = lasting_world
    other = world.another_room()
    monkeypatch.setattr(transaction, "LOCK_WAIT_MS", 50)
    monkeypatch.setattr(transaction, "SEARCH_WAIT_MS", 20)
    with outside() as psql:
        psql.execute("BEGIN")
        psql.execute("SELECT 1 FROM room WHERE id = %s FOR UPDATE", [other])
        batch = [
            request(room, "room.configure", world.owner, slow_seconds=n)
            for n, room in enumerate([world.room, other, world.room, world.room])
        ]
        run(*batch)
        psql.execute("ROLLBACK")
    assert [r.error.code if r.error else None for r in batch] == [None, "server.busy", None, None]


@pytest.mark.only("postgres")
def test_a_link_cut_around_commit_loses_nothing_and_doubles_nothing(lasting_world: World):
    """The wire is cut just before COMMIT arrives, or when it has been carried out and nobody was told."""
    world = lasting_world
    with Cutter(connection.settings_dict["HOST"], int(connection.settings_dict["PORT"])) as cutter:
        sent = [request(world.room, "sample.count", world.guest, by=n) for n in range(24)]

        def write() -> None:
            mine = connections["default"]
            mine.settings_dict = {**mine.settings_dict, "HOST": "127.0.0.1", "PORT": cutter.port}
            for n, r in enumerate(sent):
                cutter.plan = ["", "before", "after", "after after", "before after", "before before"][
                    n % 6
                ].split()
                run(r)

        in_threads(write)
        assert cutter.cuts == {"before": 4 + 4 + 8, "after": 4 + 8 + 4}

    known = {r.client_id for r in sent if r.error is None}
    unsure = [r for r in sent if r.error is not None]
    assert {r.error.code for r in unsure} == {"server.unavailable"}
    assert len(unsure) == 12
    replayed = [request(world.room, "sample.count", world.guest, by=r.body.by, id=r.client_id) for r in sent]
    run(*replayed)
    assert all(r.error is None for r in replayed)
    assert {r.client_id for r in replayed if r.repeated} >= known
    counted_by = Event.objects.filter(stream_id=world.room, kind="sample.counted").values_list(
        "body", flat=True
    )
    assert sorted(body["by"] for body in counted_by) == list(range(24))
    assert numbers(world.room) == list(range(1, len(numbers(world.room)) + 1))


@pytest.mark.only("postgres")
def test_a_server_that_throws_everybody_out_costs_nothing(lasting_world: World):
    world = lasting_world
    stop = threading.Event()

    def throw_out() -> None:
        with outside() as psql:
            while not stop.wait(0.05):
                psql.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                    "AND (state = 'active' OR state LIKE 'idle in transaction%')"
                )

    def write() -> list[UUID]:
        ids = []
        try:
            for _ in range(60):
                r = request(world.room, "sample.count", world.guest)
                for _ in range(50):
                    run(r)
                    if r.error is None:
                        break
                    assert r.error.temporary, r.error
                assert r.error is None
                ids.append(r.client_id)
        finally:
            stop.set()
        return ids

    ids, _ = in_threads(write, throw_out)
    assert len(counts(world.room)) == len(set(ids)) == 60
    assert numbers(world.room) == list(range(1, len(numbers(world.room)) + 1))
