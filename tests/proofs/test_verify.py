"""`manage.py verify` finds every kind of drift of the log and of what was answered: each is made, and found."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from uuid_utils.compat import uuid7

from chat.log.models import Event, Receipt, Stream, StreamHead
from chat.messages.models import Message
from commerce.orders.models import Line
from commerce.stock.models import Waiting
from livesale.management.commands.verify import SUBJECTS
from tests.proofs.market import Market

pytestmark = [pytest.mark.database, pytest.mark.django_db]


class Room:
    """A room with a message, a claim that was filled, one that waits; everything adds up."""

    def __init__(self) -> None:
        self.market = Market.open(people=3, stock=2, waitlist_cap=5)
        self.anna, self.ben, self.cara = self.market.people
        self.room, offer = self.market.rooms[0], str(self.market.offers[0])
        self.market.do(self.room, "say", self.cara, text="hello")
        self.line = self.market.do(self.room, "claim.place", self.anna, offer=offer, qty=2)["line"]
        self.wait = self.market.do(self.room, "claim.place", self.ben, offer=offer)["wait"]

    def events(self) -> Any:
        return Event.objects.filter(stream_id=self.room).order_by("seq")

    def answered(self) -> Any:
        return Event.objects.filter(kind="claim.answered", person_id=self.anna)


@pytest.fixture
def room(db: None) -> Room:
    found = Room()
    assert verify() == {}
    return found


def verify() -> dict[str, int]:
    """How many drifts of each kind."""
    found: dict[str, int] = {}
    for drifts in SUBJECTS.values():
        for drift in drifts():
            assert drift.subject
            assert str(drift.expected) != str(drift.found)
            found[drift.kind] = found.get(drift.kind, 0) + 1
    return found


def without_keys(statement: str, *params: Any) -> None:
    """What foreign keys would refuse: a row deleted by hand, a half-restored table."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("PRAGMA defer_foreign_keys = ON")
        cursor.execute(
            statement, [p if connection.vendor == "postgresql" else UUID(str(p)).hex for p in params]
        )
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")


def an_event_is_missing(room: Room) -> None:
    room.events().filter(seq=3).delete()


def an_event_too_many(room: Room) -> None:
    last = room.events().last()
    Event.objects.create(
        stream_id=room.room, seq=last.seq + 1, kind="room.changed", audience=0, body={}, at=last.at
    )


def numbers_have_a_hole(room: Room) -> None:
    """As many as there should be, but not 1 to n."""
    last = room.events().last()
    Event.objects.filter(stream_id=room.room, seq=last.seq).update(seq=last.seq + 5)


def the_head_went_back(room: Room) -> None:
    StreamHead.objects.filter(stream_id=room.room).update(seq=F("seq") - 1)


def a_log_without_a_head(room: Room) -> None:
    without_keys("DELETE FROM stream_head WHERE stream_id = %s", room.room)


def a_receipt_of_no_stream(room: Room) -> None:
    Receipt.objects.create(
        client_id=uuid7(),
        actor_id=room.anna,
        stream_id=uuid7(),
        fingerprint="f",
        answer={},
        at=room.events().last().at,
    )


def an_answered_line_is_gone(room: Room) -> None:
    Line.objects.filter(id=room.line).delete()


def an_answered_place_is_gone(room: Room) -> None:
    Waiting.objects.filter(id=room.wait).delete()


def an_answered_message_is_gone(room: Room) -> None:
    Message.objects.filter(room_id=room.room).delete()


def another_number_of_units(room: Room) -> None:
    event = room.answered().get()
    Event.objects.filter(stream_id=event.stream_id, seq=event.seq).update(body={**event.body, "got": 1})


def told_to_somebody_else(room: Room) -> None:
    room.answered().update(person_id=room.cara)


def told_twice(room: Room) -> None:
    event, last = room.answered().get(), room.events().last()
    Event.objects.create(
        stream_id=room.room, seq=last.seq + 1, kind=event.kind, audience=event.audience, person_id=event.person_id,
        body=event.body, at=last.at,
    )  # fmt: skip
    StreamHead.objects.filter(stream_id=room.room).update(seq=last.seq + 1)


# What is done to the rows, and the kinds that must be found of it. Commerce's own kinds are made in tests/commerce.
DRIFTS: list[tuple[Callable[[Room], None], set[str]]] = [
    (an_event_is_missing, {"log.count"}),
    (an_event_too_many, {"log.count"}),
    (numbers_have_a_hole, {"log.sequence"}),
    (the_head_went_back, {"log.count"}),
    (a_log_without_a_head, {"log.orphan"}),
    (a_receipt_of_no_stream, {"receipt.orphan"}),
    (an_answered_line_is_gone, {"receipt.line_lost", "claim.line"}),
    (an_answered_place_is_gone, {"receipt.place_lost"}),
    (an_answered_message_is_gone, {"receipt.message_lost"}),
    (another_number_of_units, {"claim.line"}),
    (told_to_somebody_else, {"claim.line"}),
    (told_twice, {"claim.told_twice"}),
]
OURS = {"sequence and receipts", "claims that were answered"}


@pytest.mark.parametrize(("harm", "kinds"), DRIFTS, ids=lambda value: getattr(value, "__name__", ""))
def test_drift_is_found(harm: Callable[[Room], None], kinds: set[str], room: Room) -> None:
    harm(room)
    ours = {drift.kind for subject in OURS for drift in SUBJECTS[subject]()}
    assert ours == kinds


def test_the_command_names_it_and_fails(room: Room) -> None:
    said = StringIO()
    call_command("verify", stdout=said)
    assert said.getvalue().count("no drift") == len(SUBJECTS)
    the_head_went_back(room)
    said = StringIO()
    with pytest.raises(CommandError, match="1 drifts found"):
        call_command("verify", stdout=said)
    assert f"log.count stream {room.room}" in said.getvalue()


def test_a_log_that_was_pruned_adds_up(room: Room) -> None:
    from chat.log.streams import prune

    assert prune(room.room, keep=3) > 0
    assert verify() == {}
    assert Stream.objects.filter(id=room.room).exists()
