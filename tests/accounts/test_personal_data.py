"""What is somebody's is known column by column; they get all of it and nothing else; and it can be erased."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import Client, override_settings

from chat.log import clock, pump, reading
from chat.log.errors import busy
from chat.log.models import Event, Receipt
from chat.log.verify import drifts as log_drifts
from chat.log.visibility import Viewer
from chat.messages.models import Message
from chat.rooms.models import Membership, Room
from commerce.orders.models import Contact, Line, Order
from commerce.stock.models import Waiting
from commerce.verify import drifts
from livesale.accounts.identity import ProjectIdentities
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.logs import Json
from livesale.personal import erasure, export, ledger
from livesale.personal.models import Erasure
from livesale.personal.register import TABLES
from livesale.personal.rules import Rule, Table, problems
from livesale.rest import throttle
from tests.accounts.canaries import Place, found_in_tables, personal_columns
from tests.rest.world import PASSWORD

pytestmark = [pytest.mark.database, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _list_of_erasures(settings: Any, tmp_path: Any) -> None:
    settings.ERASURES_FILE = tmp_path / "list" / "erasures.txt"


@pytest.fixture
def place(db: None) -> Place:
    return Place()


def file_of(person_id: UUID) -> tuple[dict[str, Any], str]:
    out = io.BytesIO()
    export.write(person_id, out)
    text = out.getvalue().decode()
    return json.loads(text), text


def confirm(page: Client, password: str = PASSWORD) -> int:
    """Give the password once more, as the page does."""
    path = "/_allauth/browser/v1/auth/reauthenticate"
    return page.post(path, json.dumps({"password": password}), content_type="application/json").status_code


def downloaded(answer: Any) -> bytes:
    async def gather() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return async_to_sync(gather)()


# --- complete by construction -----------------------------------------------------------------------------------------


def test_every_column_of_every_table_has_a_rule() -> None:
    """A new table or column must say in `livesale/personal/register.py` whether it is somebody's."""
    assert list(problems(TABLES)) == []


def test_a_column_without_a_rule_would_be_found() -> None:
    whole = TABLES["chat.Message"]
    for changed, said in (
        ({n: r for n, r in whole.columns.items() if n != "text"}, "chat.Message.text has no rule"),
        ({**whole.columns, "mood": Rule.OWN}, "chat.Message.mood is no column"),
    ):
        tables = {**TABLES, whole.label: Table(whole.label, changed, whole.parts, whole.ending)}
        assert list(problems(tables)) == [said]
    assert "chat.Message has no rules" in problems({n: t for n, t in TABLES.items() if n != "chat.Message"})
    homeless = Table(whole.label, whole.columns, (), whole.ending)
    assert list(problems({**TABLES, whole.label: homeless})) == [
        "chat.Message has columns of people, and does not say whose"
    ]


def test_what_people_are_named_by_is_an_id() -> None:
    """A column that names a person holds nothing else, so that it says nothing once the person's row is empty."""
    for table in TABLES.values():
        for name, rule in table.columns.items():
            if rule is Rule.WHO:
                field = table.model._meta.get_field(name)
                target = field.target_field if field.is_relation else field
                assert isinstance(target, models.UUIDField), f"{table.label}.{name}"


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_scene_has_a_word_of_theirs_in_every_personal_column(place: Place) -> None:
    """Otherwise the tests below would look for what nobody has said."""
    found = found_in_tables(place.ada.word)
    # a language and a moment hold no word; whom a shop is to be asked is its owner's, see below
    without = {("accounts_user", "language"), ("accounts_user", "last_login"), ("commerce_contact", "country"),
               ("commerce_shop", "contact_email")}  # fmt: skip
    missing = {
        (table, column)
        for table, columns in personal_columns().items()
        for column in columns - found.get(table, set())
    }
    assert missing == without


def test_a_person_gets_every_word_of_theirs_and_none_of_anybody_elses(place: Place) -> None:
    for mine, other in ((place.ada, place.bob), (place.bob, place.ada)):
        data, text = file_of(mine.id)
        assert other.word not in text
        assert str(other.id) not in text
        assert str(place.owner.id) not in text
        said = {
            mine.said(w) for w in (
                "name", "text-0", "text-1", "text-2", "external", "note", "phone", "street", "city", "sanction",
                "audit", "report", "refund", "alone", "shared", "about", "announcement",
            )
        } | {mine.user.email, f"{mine.word}-contact@example.org"}  # fmt: skip
        assert {word for word in said if word not in text} == set()
        assert len(data["messages"]) == 7
        assert {row["id"] for row in data["orders"]} >= {str(o) for o in mine.orders}
        assert data["person"][0]["name"] == mine.said("name")
        assert data["format"] == "livesale.person"


def test_a_text_that_was_deleted_is_not_in_the_file(place: Place) -> None:
    gone, left = place.ada.messages[0], place.ada.messages[1]
    place.do(place.room, "message.delete", message=gone)
    data, text = file_of(place.ada.id)
    told = {row["id"]: row for row in data["messages"]}
    assert told[gone]["text"] == ""
    assert told[gone]["deleted_at"] is not None
    assert told[left]["text"] == place.ada.said("text-1")
    # said in the other room, too
    assert text.count(place.ada.said("text-0")) == 1


def test_nothing_that_proves_who_one_is_leaves(place: Place) -> None:
    _, text = file_of(place.ada.id)
    user = User.objects.get(id=place.ada.id)
    assert user.password not in text
    for session in Session.objects.all():
        assert session.session_key not in text


def test_a_file_is_written_without_holding_it_in_memory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many messages as wanted: no more rows than one piece are read before they are written."""
    monkeypatch.setattr(export, "ROWS", 10)
    first = Message.objects.filter(author_id=place.ada.id).first()
    assert first is not None
    Message.objects.bulk_create(
        Message(
            id=UUID(int=n + 1),
            tenant_id=first.tenant_id,
            room_id=first.room_id,
            author_id=place.ada.id,
            text=f"one of many {n}",
            at=first.at,
        )
        for n in range(500)
    )
    lengths: list[int] = []

    class Out(io.BytesIO):
        def write(self, data: Any) -> int:
            lengths.append(len(data))
            return super().write(data)

    out = Out()
    export.write(place.ada.id, out)
    assert len(json.loads(out.getvalue())["messages"]) == 507
    assert max(lengths) < 2_000


def test_the_page_wants_the_password_once_more(place: Place) -> None:
    page = place.ada.page
    for age in (None, 301):
        if age is not None:
            assert confirm(page) == 200
            session = page.session
            session["account_authentication_methods"][-1]["at"] -= age
            session.save()
        refused = page.get("/api/v1/me/export/")
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.confirm")
        assert page.post("/api/v1/me/erasure/").json()["code"] == "auth.confirm"
    assert confirm(page, "not it at all") == 400
    assert page.get("/api/v1/me/export/").status_code == 403
    assert confirm(page) == 200
    answer = page.get("/api/v1/me/export/")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Cache-Control"] == "no-store"
    text = downloaded(answer).decode()
    assert int(answer["Content-Length"]) == len(text.encode())
    assert json.loads(text)["id"] == str(place.ada.id)


def test_a_file_is_dear_and_cannot_be_asked_for_all_day(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no full hour, at which one may ask anew, falls in between
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: 30.0))
    confirm(place.ada.page)
    codes = []
    for _ in range(6):
        answer = place.ada.page.get("/api/v1/me/export/")
        codes.append(answer.status_code)
        if answer.status_code == 200:
            assert downloaded(answer)
    assert codes == [200] * 5 + [429]


def test_the_operator_writes_a_file(place: Place, tmp_path: Any) -> None:
    path = tmp_path / "ada.json"
    call_command("export_person", place.ada.user.email, str(path), stdout=io.StringIO())
    assert json.loads(path.read_text())["id"] == str(place.ada.id)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError):
        call_command("export_person", place.ada.user.email, str(path), stdout=io.StringIO())
    with pytest.raises(CommandError, match="no such person"):
        call_command("export_person", "nobody@example.org", str(tmp_path / "x"))


# --- erasure ----------------------------------------------------------------------------------------------------------


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


def test_nothing_of_it_is_in_the_log_of_the_program(db: None) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(Json().format(record))

    handler = Kept()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        place = Place()
        export.write(place.ada.id, io.BytesIO())
        erasure.erase(place.ada.id)
        logging.getLogger("livesale").warning("the handler hears")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert any("the handler hears" in line for line in lines)
    assert [line for line in lines if place.ada.word in line or place.bob.word in line] == []


def test_the_log_and_the_receipts_hold_no_words(place: Place) -> None:
    """Whatever people say, do, buy and suffer: events and stored answers are ids and facts."""
    for word in (place.ada.word, place.bob.word):
        assert (
            not Event.objects.filter(body__icontains=word).exists() if connection.vendor == "sqlite" else True
        )
        assert {"event", "receipt", "outbox"} & found_in_tables(word).keys() == set()
    assert Receipt.objects.exists()
    claimed = Event.objects.filter(kind="offer.claimed").latest("seq")
    assert "names" not in claimed.body
    told = json.loads(
        b"[" + reading.replay(claimed.stream_id, Viewer(None), claimed.seq - 1, claimed.seq)[0] + b"]"
    )[0]
    assert told["body"]["names"] == [place.bob.said("name")]


# --- asked for by the person ------------------------------------------------------------------------------------------


def test_a_person_has_days_to_think_again(place: Place, mailoutbox: list[Any]) -> None:
    page = place.ada.page
    confirm(page)
    with clock.frozen() as time:
        assert page.get("/api/v1/me/erasure/").json() == {"erased_at": None, "days": 7}
        due = page.post("/api/v1/me/erasure/").json()["erased_at"]
        assert due == int((clock.now() + timedelta(days=7)).timestamp() * 1000)
        pump.pump_until_quiet()
        assert [mail.to for mail in mailoutbox][-1] == [place.ada.user.email]
        assert page.post("/api/v1/me/erasure/").json()["erased_at"] == due
        time.advance(6 * 86_400)
        assert erasure.carry_out_due() == 0
        assert page.delete("/api/v1/me/erasure/").json()["erased_at"] is None
        time.advance(2 * 86_400)
        assert erasure.carry_out_due() == 0
        assert User.objects.get(id=place.ada.id).is_active
        erasure.ask(place.ada.id)
        time.advance(7 * 86_400 + 1)
        assert erasure.carry_out_due() == 1
        assert not User.objects.get(id=place.ada.id).is_active


def test_who_owns_a_shop_hands_it_over_first(place: Place) -> None:
    page = place.ada.page
    page.force_login(place.owner, backend="django.contrib.auth.backends.ModelBackend")
    confirm(page)
    refused = page.post("/api/v1/me/erasure/")
    assert (refused.status_code, refused.json()["code"]) == (409, "person.owns_shop")
    with pytest.raises(CommandError, match="Shop"):
        call_command("erase_person", str(place.owner.id))
    place.do(place.shop, "shop.configure", contact_email="ask-olga@example.org")
    assert "ask-olga@example.org" in file_of(place.owner.id)[1]
    call_command("erase_person", str(place.owner.id), "--even-owner", stdout=io.StringIO())
    assert found_in_tables("ask-olga") == {}
    assert found_in_tables("Olga") == {}


def test_who_has_opened_a_shop_meanwhile_stays_and_keeps_nobody_waiting(place: Place) -> None:
    with clock.frozen() as time:
        for who in (place.ada, place.bob):
            erasure.ask(who.id)
        open_shop(name="Of Ada", currency="EUR", owner_id=place.ada.id)
        time.advance(8 * 86_400)
        assert erasure.carry_out_due() == 1
    assert User.objects.get(id=place.ada.id).is_active
    assert not User.objects.get(id=place.bob.id).is_active


def test_one_erasure_that_cannot_be_done_now_keeps_no_other_waiting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = erasure.execute

    def busy_for_ada(stream: UUID, name: str, body: Any, **more: Any) -> Any:
        if body["person"] == place.ada.id:
            raise busy()
        return really(stream, name, body, **more)

    with clock.frozen() as time:
        for who in (place.ada, place.bob):
            erasure.ask(who.id)
        time.advance(8 * 86_400)
        monkeypatch.setattr(erasure, "execute", busy_for_ada)
        assert erasure.carry_out_due() == 1
        assert Erasure.objects.get(person_id=place.ada.id).done_at is None
        assert Erasure.objects.get(person_id=place.bob.id).done_at is not None
        monkeypatch.setattr(erasure, "execute", really)
        assert erasure.carry_out_due() == 1
        assert Erasure.objects.get(person_id=place.ada.id).done_at is not None
    assert not Message.objects.filter(author_id=place.ada.id).exclude(text="").exists()


# --- after a restore --------------------------------------------------------------------------------------------------


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


def test_the_list_survives_a_torn_line_and_names_each_once(tmp_path: Any, settings: Any) -> None:
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
