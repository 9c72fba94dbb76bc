"""What an erasure takes away at once, what it leaves, and what finds its way after it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from chat.log import clock, pump, reading
from chat.log.models import Event
from chat.log.verify import drifts as log_drifts
from chat.log.visibility import Viewer
from chat.messages.models import Message
from chat.rooms.models import Membership, Room
from commerce.orders.models import Contact, Line, Order
from commerce.stock.models import Waiting
from commerce.verify import drifts
from livesale.accounts.identity import ProjectIdentities
from livesale.accounts.models import User
from livesale.personal import erasure, ledger
from livesale.personal.models import Erasure
from tests.accounts.canaries import Place, found_in_tables, personal_columns

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def test_after_an_erasure_only_what_a_law_keeps_is_found_and_later_nothing(place: Place) -> None:
    ada, bob = place.ada, place.bob
    of_bob = found_in_tables(bob.word)
    erasure.erase(ada.id)
    pump.pump_until_quiet()
    left = found_in_tables(ada.word)
    kept = personal_columns()["commerce_contact"] - {"country"}
    # a room with others in it stays theirs
    assert left == {
        "commerce_contact": kept,
        "commerce_order": {"note"},
        "room": {"name", "description", "announcement"},
    }
    assert set(Contact.objects.filter(order__buyer_id=ada.id).values_list("order_id", flat=True)) == {
        ada.orders[0]
    }
    # when the time is over for which the law wants it
    with override_settings(KEEP_CONTACTS_DAYS=0):
        erasure.erase(ada.id)
    assert found_in_tables(ada.word) == {"room": {"name", "description", "announcement"}}
    assert Room.objects.get(id=ada.shared).owner_id == bob.id
    # nobody else has lost a word, but for what they had told the staff about a text that is gone
    del of_bob["message_report"]
    assert found_in_tables(bob.word) == of_bob


def test_texts_lose_their_words_and_keep_their_place(place: Place) -> None:
    ada = place.ada
    before = list(Event.objects.filter(stream_id=place.room).order_by("seq").values_list("seq", "kind"))
    last = before[-1][0]
    erasure.erase(ada.id)
    after = list(Event.objects.filter(stream_id=place.room).order_by("seq").values_list("seq", "kind"))
    assert after[: len(before)] == before
    told = [kind for _, kind in after[len(before) :]]
    assert told[0] == "member.cleared"
    assert "member.left" in told
    everything = b"".join(reading.replay(place.room, Viewer(place.owner.id, staff=True), 0, after[-1][0]))
    assert ada.word.encode() not in everything
    assert b"deleted person" in everything
    live = b"".join(reading.replay(place.room, Viewer(None), last, after[-1][0]))
    assert str(ada.id).encode() in live
    for viewer in (Viewer(None), Viewer(place.owner.id, staff=True), Viewer(place.bob.id)):
        for room in (place.room, place.other):
            assert ada.word.encode() not in reading.snapshot(room, viewer)
            assert ada.word.encode() not in b"".join(
                reading.history(room, viewer, 2**62, ["message.sent"], 200)
            )


def test_a_snapshot_that_was_cached_is_not_shown_again(place: Place) -> None:
    viewer = Viewer(place.bob.id)
    # the pin is in the public part, which is kept
    assert place.ada.word.encode() in reading.snapshot(place.other, viewer)
    erasure.erase(place.ada.id)
    assert place.ada.word.encode() not in reading.snapshot(place.other, viewer)


def test_nobody_can_be_them_any_more(place: Place) -> None:
    ada = place.ada
    session = ada.page.cookies["sessionid"].value
    identity = ProjectIdentities().from_sessions([session])[0]
    assert identity is not None
    token = ProjectIdentities().resume_token(identity)
    erasure.erase(ada.id)
    assert ProjectIdentities().from_sessions([session]) == [None]
    assert ProjectIdentities().from_resume_tokens([token]) == [None]
    # what closes open sockets, in every process
    assert ProjectIdentities().still_valid([identity]) == set()
    assert ada.page.get("/api/v1/me/").json()["person"] is None
    for row in Session.objects.all():
        assert str(ada.id) not in str(row.get_decoded())
        assert ada.word not in str(row.get_decoded())
    assert ProjectIdentities().from_sessions([place.bob.page.cookies["sessionid"].value]) != [None]


def test_orders_stay_with_their_amounts_and_the_books_add_up(place: Place) -> None:
    ada = place.ada
    facts = ("id", "number", "state", "total_minor", "paid_minor", "refunded_minor", "placed_at", "paid_at")
    before = list(Order.objects.filter(id=ada.orders[0]).values(*facts))
    erasure.erase(ada.id)
    pump.pump_until_quiet()
    assert list(Order.objects.filter(id=ada.orders[0]).values(*facts)) == before
    assert before[0]["paid_minor"] > 0
    # what was not paid goes to the next in line
    assert not Line.objects.filter(buyer_id=ada.id, state="held").exists()
    assert not Waiting.objects.filter(buyer_id=ada.id, state__in=["waiting", "offered"]).exists()
    assert drifts() == []
    assert list(log_drifts()) == []


def test_rooms_go_to_who_is_left_and_close_when_nobody_is(place: Place) -> None:
    ada, bob = place.ada, place.bob
    erasure.erase(ada.id)
    shared, alone = Room.objects.get(id=ada.shared), Room.objects.get(id=ada.alone)
    assert (shared.owner_id, shared.archived_at) == (bob.id, None)
    assert Membership.objects.get(room=shared, person_id=bob.id).role == "owner"
    assert alone.archived_at is not None
    assert (alone.name, alone.description, alone.announcement) == ("deleted person", "", "")
    assert not Membership.objects.filter(person_id=ada.id).exists()


def test_what_is_the_shops_goes_to_the_shop(place: Place) -> None:
    """A customer who has been there longest does not follow one of the staff: prices and orders would be theirs."""
    ada = place.ada
    place.do(place.shop, "staff.add", email=ada.user.email, role="manager")
    rooms = [
        UUID(place.do(place.shop, "room.create", ada.id, kind=kind, name="Evening")["room"])
        for kind in ("sale", "group")
    ]
    for room in rooms:
        place.do(room, "member.join", place.bob.id)
    erasure.erase(ada.id)
    for room in rooms:
        assert Room.objects.get(id=room).owner_id == place.owner.id
        assert Membership.objects.get(room_id=room, person_id=place.bob.id).role == "member"
        place.do(room, "room.configure", name="Goes on")


def test_what_came_while_it_was_carried_out_goes_in_the_second_round(place: Place) -> None:
    ada = place.ada
    with clock.frozen() as time:
        erasure.erase(ada.id)
        # another process had read a moment before that the account is there
        User.objects.filter(id=ada.id).update(is_active=True)
        late = place.do(place.room, "message.send", ada.id, text=ada.said("late"))["message"]
        User.objects.filter(id=ada.id).update(is_active=False)
        assert erasure.carry_out_due() == 0
        time.advance(61)
        assert erasure.carry_out_due() == 1
        assert Message.objects.get(id=late).text == ""
        time.advance(3600)
        assert erasure.carry_out_due() == 0
    assert ada.said("late") not in str(found_in_tables(ada.said("late")))
    assert found_in_tables(ada.said("late")) == {}


def test_many_messages_go_in_small_transactions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "SLICE", 10)
    first = Message.objects.filter(author_id=place.ada.id, room_id=place.room).first()
    assert first is not None
    Message.objects.bulk_create(
        Message(
            id=UUID(int=n + 1), tenant_id=first.tenant_id, room_id=place.room, author_id=place.ada.id,
            text=place.ada.said(f"one of many {n}"), at=first.at + timedelta(seconds=n),
        )
        for n in range(95)
    )  # fmt: skip
    sizes: list[int] = []
    clear = Message.objects.filter(author_id=place.ada.id, room_id=place.room, deleted_at__isnull=True)

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "message"'):
            before = clear.count()
            done = execute(sql, params, many, context)
            sizes.append(before - clear.count())
            return done
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        erasure.erase(place.ada.id)
    assert max(sizes) <= 11
    assert sum(sizes) >= 98
    assert not Message.objects.filter(author_id=place.ada.id).exclude(text="").exists()


def test_a_restored_database_is_told_who_was_erased(place: Place, tmp_path: Any) -> None:
    ada = place.ada
    erasure.erase(ada.id)
    ledger.copy_to(tmp_path / "backups", erasure.known())
    # the database as it was before, and an installation without a list of its own
    Erasure.objects.all().delete()
    User.objects.filter(id=ada.id).update(name=ada.said("back"), email=ada.user.email, is_active=True)
    Message.objects.filter(author_id=ada.id).update(text=ada.said("again"), deleted_at=None)
    said = io.StringIO()
    with override_settings(ERASURES_FILE=tmp_path / "nowhere" / "erasures.txt"):
        call_command("restored", stdout=said)
        assert "0 people" in said.getvalue()
        assert found_in_tables(ada.said("again"))
        call_command("restored", "--erasures", str(tmp_path / "backups" / "erasures.txt"), stdout=said)
        assert "1 people" in said.getvalue()
        assert ada.id in ledger.read([ledger.path()])
    assert found_in_tables(ada.said("again")) == found_in_tables(ada.said("back")) == {}
    assert not User.objects.get(id=ada.id).is_active


def test_the_list_survives_a_torn_line_and_names_each_once(tmp_path: Any, list_of_erasures: None) -> None:
    one, two = UUID(int=1), UUID(int=2)
    now = clock.now()
    ledger.note(one, now)
    ledger.note(one, now)
    with ledger.path().open("a") as file:
        file.write("2026-01-01T00:00:00+00:00 0000")
    ledger.note(two, now)
    assert ledger.read([ledger.path()]) == {one: now, two: now}
    assert ledger.path().stat().st_mode & 0o777 == 0o600
    assert ledger.read([tmp_path / "none"]) == {}
