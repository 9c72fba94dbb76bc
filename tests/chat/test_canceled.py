"""A canceled statement says nothing of the command. A lock that comes just as the wait for it ends is told as one."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from django.db import connection

from chat.log import transaction
from tests.chat.world import World, counts, in_threads, outside, request, run
from tests.sample_subject import commands as sample

pytestmark = [pytest.mark.database, pytest.mark.only("postgres")]


def cancel_who_waits(psql: psycopg.Connection, state: str) -> None:
    """Cancel what a backend of this database does as soon as it is in this state (of `wait_event`)."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        canceled = psql.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event = %s AND pid <> pg_backend_pid()",
            [state],
        ).fetchall()
        if canceled:
            return
        time.sleep(0.01)
    raise TimeoutError(f"nobody is in {state}")


def test_a_head_whose_lock_was_canceled_is_taken_the_next_time(
    lasting_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = lasting_world
    monkeypatch.setattr(transaction, "HEAD_WAIT_MS", 60_000)
    mine = request(world.room, "sample.count", world.guest)
    with outside() as holder, outside() as canceler:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM stream_head WHERE stream_id = %s FOR UPDATE", [world.room])
        outcomes = in_threads(
            lambda: transaction.run([mine]), lambda: cancel_who_waits(canceler, "transactionid")
        )
        assert (mine.error, mine.answer) == (None, None)
        assert outcomes[0].deferred == [mine]
        holder.execute("ROLLBACK")
    assert transaction.run(outcomes[0].deferred).deferred == []
    assert (mine.error, mine.answer) == (None, {"total": 1})


@pytest.mark.parametrize(("times", "code"), [(1, None), (2, "server.unavailable")])
def test_a_batch_of_which_a_statement_was_canceled_is_repeated_once(
    lasting_world: World, times: int, code: str | None
) -> None:
    world = lasting_world
    left = [times]
    over = threading.Event()

    def dawdle() -> None:
        if left[0]:
            left[0] -= 1
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(60)")

    def cancel() -> None:
        with outside() as canceler:
            for _ in range(times):
                cancel_who_waits(canceler, "PgSleep")
                # the same sleep is not to be canceled twice
                while (
                    not over.is_set()
                    and canceler.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
                    ).fetchone()
                ):
                    time.sleep(0.01)

    batch = [request(world.room, "sample.count", world.guest) for _ in range(3)]

    def carry_out() -> None:
        run(*batch)
        over.set()

    sample.Tally.in_write = dawdle
    in_threads(carry_out, cancel)
    assert {r.error.code if r.error else None for r in batch} == {code}
    assert {r.error.temporary for r in batch if r.error} <= {True}
    assert len(counts(world.room)) == (0 if code else 3)


def test_what_takes_too_long_is_still_found_and_fails_alone(lasting_world: World) -> None:
    world = lasting_world
    batch = [
        request(world.room, "sample.count", world.guest, trouble=trouble) for trouble in ("", "slow", "")
    ]
    run(*batch)
    assert [r.error.code if r.error else None for r in batch] == [None, "server.error", None]
