"""Inserts that are sent and not waited for: what follows sees them, and what fails in them fails its block."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from chat.log import store
from chat.log.models import Outbox, Receipt
from chat.log.pipeline import inserts_on_their_way

pytestmark = [pytest.mark.database, pytest.mark.django_db]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("client_id", "actor_id", "stream_id", "fingerprint", "answer", "at")


def receipt(*, answer: object = None) -> tuple[object, ...]:
    return (uuid4(), uuid4(), uuid4(), "f", answer or {"n": 1}, NOW)


def test_a_statement_that_asks_sees_what_was_sent_before_it() -> None:
    with transaction.atomic(), inserts_on_their_way():
        store.insert_rows(
            Receipt, COLUMNS, [receipt(answer={"text": 'a "quoted" \\ word'}) for _ in range(3)]
        )
        assert Receipt.objects.count() == 3
        store.insert_rows(Receipt, COLUMNS, [receipt()])
        assert Outbox.objects.filter(id=uuid4()).update(attempts=1) == 0
        store.insert_rows(Receipt, COLUMNS, [receipt()])
    assert Receipt.objects.count() == 5
    assert {r.answer.get("text") for r in Receipt.objects.all()} == {'a "quoted" \\ word', None}


def test_what_fails_on_its_way_fails_the_block_and_the_connection_goes_on() -> None:
    same = receipt()
    with pytest.raises(IntegrityError), transaction.atomic(), inserts_on_their_way():
        store.insert_rows(Receipt, COLUMNS, [same])
        store.insert_rows(Receipt, COLUMNS, [same])
    assert Receipt.objects.count() == 0
    assert not connection.needs_rollback


@pytest.mark.only("postgres")  # elsewhere the insert has been waited for
def test_an_error_of_ours_is_the_one_that_is_heard() -> None:
    same = receipt()
    with pytest.raises(ZeroDivisionError), transaction.atomic(), inserts_on_their_way():
        store.insert_rows(Receipt, COLUMNS, [same, same])
        raise ZeroDivisionError
    assert Receipt.objects.count() == 0
