"""What is somebody's is known column by column, and is nowhere else."""

from __future__ import annotations

import io
import json
import logging

import pytest
from django.db import connection, models

from chat.log import reading
from chat.log.models import Event, Receipt
from chat.log.visibility import Viewer
from livesale.logs import Json
from livesale.personal import erasure, export
from livesale.personal.register import TABLES
from livesale.personal.rules import Rule, Table, problems
from tests.accounts.canaries import Place, found_in_tables, personal_columns

pytestmark = [pytest.mark.database, pytest.mark.django_db]


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


def test_nothing_of_it_is_in_the_log_of_the_program(db: None, list_of_erasures: None) -> None:
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
