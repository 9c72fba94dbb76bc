"""What is asked of a PostgreSQL connection past its cursors: together, in order, and safe when something fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import Error, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from livesale.postgres import link as link_module
from livesale.postgres.link import Link

pytestmark = [pytest.mark.database, pytest.mark.only("postgres"), pytest.mark.django_db(transaction=True)]

INSERT = "INSERT INTO link_test (id, word) VALUES (%s::int, %s::text)"


class Odd(Exception):
    """What a write raises that has not met its rows."""


@pytest.fixture
def link() -> Iterator[Link]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE link_test (id int PRIMARY KEY, word text)")
    yield connection.link  # type: ignore[attr-defined]
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE link_test")


def words() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT word FROM link_test ORDER BY id")
        return [word for (word,) in cursor.fetchall()]


def test_statements_are_planned_as_short_ones_on_every_connection(db: None) -> None:
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('jit'), current_setting('max_parallel_workers_per_gather')"
            )
            assert cursor.fetchone() == ("off", "0")
        connection.close()


def test_what_is_asked_together_is_carried_out_in_order(link: Link) -> None:
    with transaction.atomic():
        before = link.ask("SELECT count(*) FROM link_test")
        link.write(INSERT, [1, "one"])
        after = link.ask("SELECT count(*), max(word) FROM link_test")
        assert before.rows() == [(0,)]
        assert after.rows() == [(1, "one")]
    assert words() == ["one"]


def test_a_cursor_sees_what_was_sent_before_it(link: Link) -> None:
    with transaction.atomic():
        link.write(INSERT, [1, "one"])
        assert words() == ["one"]
        link.write(INSERT, [2, "two"])
    assert words() == ["one", "two"]


def test_outside_a_transaction_a_write_is_carried_out_at_once(link: Link) -> None:
    link.write(INSERT, [1, "one"])
    assert _seen_by_another() == 1


def test_the_commit_travels_with_the_last_write(link: Link) -> None:
    with transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.commit()
        assert _seen_by_another() == 1


def test_inside_another_block_nothing_is_committed(link: Link) -> None:
    with transaction.atomic():
        with transaction.atomic():
            link.write(INSERT, [1, "one"])
            link.commit()
            assert words() == ["one"]
        assert _seen_by_another() == 0
    assert _seen_by_another() == 1


def test_what_fails_is_heard_of_at_the_end_of_the_block_at_the_latest(link: Link) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.write(INSERT, [1, "again"])
    assert words() == []
    assert not connection.needs_rollback


def test_nothing_after_a_failure_is_committed(link: Link) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.write(INSERT, [1, "again"])
        link.write(INSERT, [2, "two"])
        link.commit()
    assert words() == []


def test_an_error_of_ours_is_the_one_that_is_heard(link: Link) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.write(INSERT, [1, "again"])
        raise ZeroDivisionError
    assert words() == []
    link.write(INSERT, [1, "one"])
    assert words() == ["one"]


def test_a_block_inside_may_fail_alone(link: Link) -> None:
    with transaction.atomic():
        link.write(INSERT, [1, "one"])
        with pytest.raises(IntegrityError), transaction.atomic():
            link.write(INSERT, [1, "again"])
        link.write(INSERT, [2, "two"])
    assert words() == ["one", "two"]


@pytest.mark.parametrize("ids", [[1], [1, 2, 3]])
def test_a_write_that_meets_other_rows_than_it_must_fails_everything(link: Link, ids: list[int]) -> None:
    link.write(INSERT, [1, "one"])
    link.write(INSERT, [2, "two"])
    sql = "UPDATE link_test SET word = 'changed' WHERE id = ANY(%s::bigint[])"
    with pytest.raises(Odd), transaction.atomic():
        link.write(sql, [link.array("bigint", ids)], must=len(ids) + 1, otherwise=Odd)
        link.commit()
    assert words() == ["one", "two"]
    with transaction.atomic():
        link.write(sql, [link.array("bigint", [1, 2])], must=2, otherwise=Odd)
        link.commit()
    assert words() == ["changed", "changed"]


def test_a_division_by_zero_of_somebody_else_is_an_error_of_the_database(link: Link) -> None:
    with pytest.raises(Error, match="zero"), transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.ask("SELECT 1 / (count(*) - 1) FROM link_test").rows()
    assert words() == []


def test_a_statement_that_could_not_be_prepared_is_prepared_the_next_time(link: Link) -> None:
    with pytest.raises(Error), transaction.atomic():
        link.ask("SELECT nothing FROM link_test")
        link.ask("SELECT count(*) FROM link_test").rows()
    assert link.ask("SELECT count(*) FROM link_test").rows() == [(0,)]


def test_a_table_that_has_changed_costs_one_failure(link: Link) -> None:
    sql = "SELECT * FROM link_test"
    link.write(INSERT, [1, "one"])
    assert link.ask(sql).rows() == [(1, "one")]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE link_test ADD COLUMN more int")
    with pytest.raises(Error, match="cached plan"):
        link.ask(sql).rows()
    connection.close_if_unusable_or_obsolete()
    assert link.ask(sql).rows() == [(1, "one", None)]


def test_a_connection_that_is_cut_is_told_and_the_next_one_works(link: Link) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        link.write(INSERT, [1, "one"])
        (pid,) = link.ask("SELECT pg_backend_pid()").rows()[0]
        _cut(pid)
        link.write(INSERT, [2, "two"])
        link.commit()
    connection.close()
    assert words() == []
    link.write(INSERT, [3, "three"])
    assert words() == ["three"]


def test_a_database_that_never_answers_is_given_up(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE", 0.05)
    with pytest.raises(OperationalError, match="not answered"), transaction.atomic():
        link.write(INSERT, [1, "one"])
        link.ask("SELECT pg_sleep(1)").rows()
    assert words() == []


def test_others_run_while_it_waits(link: Link) -> None:
    turns = 0
    over = threading.Event()

    def count() -> None:
        nonlocal turns
        while not over.wait(0.001):
            turns += 1

    counting = threading.Thread(target=count)
    counting.start()
    try:
        # long enough for a few turns on a machine that is busy; one that held the others would leave none
        link.ask("SELECT pg_sleep(3)").rows()
    finally:
        over.set()
        counting.join()
    assert turns > 10


def test_more_than_the_kernel_takes_at_once_goes_both_ways(link: Link) -> None:
    long = "x" * 3_000_000
    with transaction.atomic():
        asked = [link.ask("SELECT %s::text || 'y'", [long]) for _ in range(8)]
        assert all(one.rows() == [(long + "y",)] for one in asked)


MOMENTS = [
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC),
]


@pytest.mark.parametrize(
    ("element", "values"),
    [
        ("uuid", [uuid4(), UUID(int=0), UUID(int=2**128 - 1)]),
        ("uuid", [uuid4(), None]),
        ("bigint", [0, -1, 2**63 - 1, -(2**63)]),
        ("bigint", [None, 7]),
        ("boolean", [True, False, None]),
        ("text", ["", 'a "quoted" \\ word', "{}", "NULL", "für 東京 👗", None]),
        ("timestamptz", [*MOMENTS, None]),
        ("json", ['{"a": [1, "b"]}', None]),
        ("jsonb", ['{"a": [1, "b"]}', None]),
        ("text", []),
        ("uuid", []),
    ],
)
def test_arrays_arrive_as_they_left(link: Link, element: str, values: list[Any]) -> None:
    wanted = [{"a": [1, "b"]} if isinstance(v, str) and element.startswith("json") else v for v in values]
    found = link.ask(f"SELECT v FROM unnest(%s::{element}[]) AS v", [link.array(element, values)]).rows()
    assert [v for (v,) in found] == wanted


def test_single_values_arrive_as_they_left(link: Link) -> None:
    id_, moment = uuid4(), MOMENTS[1]
    sql = "SELECT %s::uuid, %s::timestamptz, %s::bigint, %s::boolean, %s::text, %s::text"
    found = link.ask(sql, [id_, moment, -5, True, "a'b", None]).rows()
    assert found == [(id_, moment, -5, True, "a'b", None)]
    with pytest.raises(TypeError):
        link.ask("SELECT %s", [1.5])


@pytest.mark.usefixtures("link")
def test_without_prepared_statements_everything_is_the_same() -> None:
    fresh = Link(connection, prepares=False)  # type: ignore[arg-type]
    with transaction.atomic():
        fresh.write(INSERT, [1, "one"])
        assert fresh.ask("SELECT word FROM link_test").rows() == [("one",)]
        fresh.settle()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)


def test_what_is_asked_can_be_watched(link: Link) -> None:
    with CaptureQueriesContext(connection) as seen, transaction.atomic():
        link.write(INSERT, [1, "one"])
    assert INSERT in [query["sql"] for query in seen.captured_queries]


# --- other connections --------------------------------------------------------------------------------------------


def _elsewhere(sql: str, params: list[Any]) -> Any:
    found: list[Any] = []

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                found.append(cursor.fetchone()[0])
        finally:
            connection.close()

    other = threading.Thread(target=run)
    other.start()
    other.join()
    return found[0]


def _seen_by_another() -> int:
    count: int = _elsewhere("SELECT count(*) FROM link_test", [])
    return count


def _cut(pid: int) -> None:
    _elsewhere("SELECT pg_terminate_backend(%s)", [pid])
    until = time.monotonic() + 30
    while _elsewhere("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]):
        assert time.monotonic() < until
