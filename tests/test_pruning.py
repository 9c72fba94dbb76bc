"""What a serving process lets go by itself, and what it never does."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import override_settings
from uuid_utils.compat import uuid7

from chat.log import clock, reading
from chat.log.execute import execute
from chat.log.models import Event, Outbox, Receipt, StreamHead
from chat.log.verify import drifts as log_drifts
from chat.log.visibility import Viewer
from chat.messages.models import Message, MessageReport, Pin
from chat.moderation.models import AuditEntry
from commerce.orders.models import Contact, Line, Order
from commerce.payments.models import Attempt
from commerce.stock.models import Movement
from commerce.verify import drifts
from livesale.accounts.identity import make_ticket
from livesale.accounts.models import Ticket, User
from livesale.claims.verify import drifts as claim_drifts
from livesale.upkeep import caretaker, chores
from livesale.upkeep.models import Chore
from tests.processes import live_processes, manage
from tests.rest.world import ShopWorld
from tests.services import wait_until

pytestmark = pytest.mark.database

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEAR = 366 * 86_400.0


@pytest.fixture(autouse=True)
def _list_of_erasures(settings: Any, tmp_path: Any) -> None:
    settings.ERASURES_FILE = tmp_path / "erasures.txt"


@pytest.fixture
def world(db: None) -> ShopWorld:
    made = ShopWorld("Anna")
    made.do(made.room, "member.join", made.buyer)
    return made


def say(world: ShopWorld, count: int, word: str) -> list[str]:
    """Texts by the owner, who may write as fast as they like."""
    return [world.do(world.room, "message.send", text=f"{word} {n}")["message"] for n in range(count)]


def numbers() -> dict[str, int]:
    return {name: count for name, count in chores.do_all().items() if count}


def test_nothing_goes_before_its_time(world: ShopWorld) -> None:
    tables = (Event, Message, Receipt, Order, Line, Contact, AuditEntry, Movement, Session, Outbox)
    say(world, 30, "today")
    before = [table.objects.count() for table in tables]
    assert numbers() == {}
    assert [table.objects.count() for table in tables] == before


def test_old_events_go_with_their_texts_and_the_newest_stay(world: ShopWorld, monkeypatch: Any) -> None:
    monkeypatch.setattr(chores, "KEEP_EVENTS", 60)
    monkeypatch.setattr(chores, "SLICE", 7)
    with clock.frozen() as time:
        old = say(world, 20, "old")
        world.do(world.room, "message.pin", message=old[3])
        for reported in (old[4], old[5], old[6]):
            world.do(world.room, "message.report", world.buyer, message=reported, reason="a reason")
        world.do(world.room, "message.settle", message=old[4])
        world.do(world.room, "message.delete", message=old[6])
        ahead = uuid7(int((clock.now() + timedelta(days=3650)).timestamp()), 0)
        body = {"text": "by a clock that is ahead"}
        execute(world.room, "message.send", body, actor_id=world.owner.id, client_id=ahead)
        time.advance(400 * 86_400)
        young = say_later(world, time, 80)
        counts = numbers()
        assert counts["events"] > 20
        head = StreamHead.objects.get(stream_id=world.room)
        assert head.floor > 0
        # what no event names any more is gone, with what was said against it; but what is pinned stays in sight, and
        # what was reported until somebody has looked at it
        left = {str(i) for i in Message.objects.filter(room_id=world.room).values_list("id", flat=True)}
        assert left & set(old) == {old[3], old[5]}
        assert left >= set(young)
        assert Pin.objects.filter(message_id=old[3]).exists()
        assert not MessageReport.objects.filter(message_id__in=[old[4], old[6]]).exists()
        later(world, "message.settle", message=old[5])
        snapshot = reading.snapshot(world.room, Viewer(world.buyer.id))
        assert b"old 3" in snapshot
        assert b"later 79" in snapshot
        time.advance(3600)
        assert numbers()["messages"] == 1
        assert numbers().get("events", 0) == 0
        # its receipt has to stay; that its text has gone is as it should be
        assert Receipt.objects.filter(client_id=ahead).exists()
        assert list(claim_drifts()) == []
        lost = Message.objects.get(id=young[-1])
        lost.delete()
        assert [d.kind for d in claim_drifts()] == ["receipt.message_lost"]
    assert list(log_drifts()) == []
    assert drifts() == []


def later(world: ShopWorld, name: str, **body: Any) -> Any:
    # an id is judged by the stopped clock, too
    id_ = uuid7(int(clock.now().timestamp()), 0)
    return execute(world.room, name, body, actor_id=world.owner.id, client_id=id_).answer


def say_later(world: ShopWorld, time: clock.FrozenClock, count: int) -> list[str]:
    said = []
    for n in range(count):
        said.append(later(world, "message.send", text=f"later {n}")["message"])
        time.advance(1)
    return said


def test_the_log_can_be_kept_for_ever(world: ShopWorld, monkeypatch: Any) -> None:
    monkeypatch.setattr(chores, "KEEP_EVENTS", 1)
    with clock.frozen() as time, override_settings(KEEP_LOG_DAYS=0):
        say(world, 20, "old")
        before = Event.objects.count(), Message.objects.count()
        time.advance(20 * YEAR)
        numbers()
        assert (Event.objects.count(), Message.objects.count()) == before


def test_receipts_go_but_for_those_of_orders_and_rounds_go_on_where_they_ended(
    world: ShopWorld, monkeypatch: Any
) -> None:
    monkeypatch.setattr(chores, "RECEIPTS", 3)
    with clock.frozen() as time:
        say(world, 10, "x")
        time.advance(30 * 86_400)
        assert numbers()["receipts"] > 10
        left = list(Receipt.objects.values_list("answer", flat=True))
        assert left
        assert all("order" in answer for answer in left)
        assert Chore.objects.get(name="receipts").after is not None
        assert numbers().get("receipts", 0) == 0


def test_a_mark_leaves_nothing_behind(world: ShopWorld) -> None:
    """A receipt accepted with an old id is young when the round comes by; a later round still finds it."""
    with clock.frozen() as time:
        time.advance(10 * 86_400)
        late = uuid7(int((clock.now() - timedelta(days=6)).timestamp()), 0)
        execute(world.room, "message.send", {"text": "late"}, actor_id=world.owner.id, client_id=late)
        for _ in range(20):
            time.advance(86_400)
            there = Receipt.objects.filter(client_id=late).exists()
            if there:
                numbers()
        assert not Receipt.objects.filter(client_id=late).exists()


def test_addresses_go_when_no_law_keeps_them_whoever_they_are_of(world: ShopWorld) -> None:
    order = Order.objects.get(id=world.order)
    Contact.objects.create(shop_id=world.shop, order=order, name="Ada", street="Main St 1")
    Order.objects.filter(id=order.id).update(note="ring twice", placed_at=clock.now())
    with clock.frozen() as time:
        time.advance(729 * 86_400)
        assert numbers().get("contacts", 0) == 0
        time.advance(2 * 86_400)
        assert numbers()["contacts"] == 1
    order.refresh_from_db()
    assert (order.note, Contact.objects.count()) == ("", 0)


def test_tickets_sessions_failed_promises_and_empty_attempts_go(world: ShopWorld) -> None:
    order = Order.objects.get(id=world.order)
    with clock.frozen() as time:
        make_ticket(world.buyer.id)
        Session.objects.create(
            session_key="old", session_data="", expire_date=datetime.now(UTC) - timedelta(days=1)
        )
        Session.objects.create(
            session_key="new", session_data="", expire_date=datetime.now(UTC) + timedelta(days=1)
        )
        Outbox.objects.create(id=uuid7(), name="x", payload={}, at=clock.now(), failed=True)
        Outbox.objects.create(id=uuid7(), name="x", payload={}, at=clock.now(), failed=False)
        for state, flagged in (("expired", False), ("expired", True), ("succeeded", False)):
            Attempt.objects.create(
                shop_id=world.shop, order=order, gateway="manual", amount_minor=1, currency="EUR", state=state,
                flagged=flagged, deadline=clock.now(), created_at=clock.now(),
            )  # fmt: skip
        time.advance(2 * YEAR)
        found = numbers()
    assert {name: found[name] for name in ("tickets", "sessions", "promises", "attempts")} == {
        "tickets": 1,
        "sessions": 1,
        "promises": 1,
        "attempts": 1,
    }
    assert Ticket.objects.count() == 0
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]
    assert Attempt.objects.filter(gateway="manual").count() == 2


def test_the_audit_the_orders_and_the_ledger_of_stock_stay(world: ShopWorld) -> None:
    world.do(world.room, "member.hide", person=str(world.buyer.id), reason="a reason")
    kept = (AuditEntry, Order, Line, Movement)
    before = [list(table.objects.order_by("pk").values()) for table in kept]
    with clock.frozen() as time:
        time.advance(50 * YEAR)
        numbers()
    assert [list(table.objects.order_by("pk").values()) for table in kept] == before


# --- the round --------------------------------------------------------------------------------------------------------


def test_a_chore_is_done_once_in_its_while(world: ShopWorld) -> None:
    with clock.frozen() as time:
        assert set(chores.do_due()) == {kind.name for kind in chores.KINDS}
        time.advance(60)
        assert set(chores.do_due()) == {"erasures"}
        time.advance(3600)
        assert set(chores.do_due()) >= {"events", "messages", "receipts", "tickets", "sessions"}
        # a clock that was wrong, and is put right, keeps nothing from being done
        time.advance(-30 * 86_400)
        assert "events" in chores.do_due()


def test_what_goes_is_counted(world: ShopWorld) -> None:
    before = chores.pruned["tickets"]
    with clock.frozen() as time:
        make_ticket(world.buyer.id)
        time.advance(3600)
        chores.do_all()
    assert chores.pruned["tickets"] == before + 1


def test_a_round_pauses_between_transactions_and_can_be_stopped(world: ShopWorld, monkeypatch: Any) -> None:
    monkeypatch.setattr(chores, "SLICE", 5)
    monkeypatch.setattr(chores, "KEEP_EVENTS", 1)

    class Enough(Exception):
        pass

    paused = 0

    def pause() -> None:
        nonlocal paused
        paused += 1
        if paused == 3:
            raise Enough

    with clock.frozen() as time:
        say(world, 40, "old")
        time.advance(2 * YEAR)
        kind = next(k for k in chores.KINDS if k.name == "events")
        with pytest.raises(Enough):
            chores.do(kind, pause)
        assert Chore.objects.get(name="events").done_at is None
        chores.do(kind, lambda: None)
        assert (
            StreamHead.objects.get(stream_id=world.room).seq
            - StreamHead.objects.get(stream_id=world.room).floor
            == 1
        )
    assert list(log_drifts()) == []


def test_one_process_at_a_time(transactional_db: None) -> None:
    if connection.vendor != "postgresql":
        with caretaker.alone() as mine:
            assert mine
        return
    others: list[bool] = []

    def look() -> None:
        with caretaker.alone() as mine:
            others.append(mine)
        connection.close()

    with caretaker.alone() as mine:
        assert mine
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert others == [False, True]


def test_a_serving_process_erases_whom_it_is_time_for() -> None:
    """Nobody has asked it to: its own thread looks."""
    hurried = {"LIVESALE_TEST_NUMBERS": "livesale.upkeep.caretaker.INTERVAL=1"}
    with live_processes(
        1, server="uvicorn", application="tests.faults.hasty_app:application", env=hurried
    ) as (process,):
        who = manage(
            process.env, "shell", "-c",
            "from livesale.accounts.models import User; from livesale.personal import erasure; "
            "u = User.objects.create_user('ada@example.org', None, name='Ada'); erasure.ask(u.id); "
            "from livesale.personal.models import Erasure; from datetime import timedelta; "
            "from django.db.models import F; Erasure.objects.update(due_at=F('asked_at')); print(u.id)",
        ).split()[-1]  # fmt: skip

        path = process.env["DATABASE_URL"].removeprefix("sqlite:///")

        def name() -> str:
            with closing(sqlite3.connect(path)) as database:
                found = database.execute(
                    f"SELECT name FROM {User._meta.db_table} WHERE id = ?", [UUID(who).hex]
                ).fetchone()
            return str(found[0])

        wait_until(lambda: name() == "deleted person", what="the erasure", seconds=60)
