"""The same command again: what was answered stays answered, and an id belongs to who made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chat.log import clock, streams
from chat.log.models import Receipt
from chat.log.transaction import RECEIPT_RETENTION
from chat.messages.models import Message
from tests.chat.world import World, code_of, counts, request, run

pytestmark = pytest.mark.database


def test_the_same_id_gets_the_same_answer_whatever_happened_since(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    run(once)
    world.do("sample.count", world.owner, by=10)

    again = request(world.room, "sample.count", world.guest, by=3, id=once.client_id)
    run(again)

    assert (again.answer, again.repeated) == ({"total": 3}, True)
    assert counts(world.room) == [3, 10]


def test_an_id_with_another_payload_name_or_stream_is_refused(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    run(once)
    others = [
        request(world.room, "sample.count", world.guest, by=4, id=once.client_id),
        request(world.room, "message.send", world.guest, text="3", id=once.client_id),
        request(world.another_room(), "sample.count", world.guest, by=3, id=once.client_id),
    ]
    for other in others:
        run(other)
        assert code_of(other) == "command.reused"
    assert counts(world.room) == [3]


def test_ids_belong_to_their_sender(world: World):
    mine = request(world.room, "sample.count", world.guest, by=3)
    yours = request(world.room, "sample.count", world.member, by=4, id=mine.client_id)
    run(mine, yours)
    assert (mine.error, yours.error) == (None, None)
    assert counts(world.room) == [3, 4]


def test_twice_in_one_batch_is_done_once(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    twin = request(world.room, "sample.count", world.guest, by=3, id=once.client_id)
    fake = request(world.room, "sample.count", world.guest, by=9, id=once.client_id)
    elsewhere = request(world.another_room(), "sample.count", world.guest, by=3, id=once.client_id)
    run(once, twin, fake, elsewhere)
    assert (once.answer, once.repeated) == ({"total": 3}, False)
    assert (twin.answer, twin.repeated) == ({"total": 3}, True)
    assert code_of(fake) == code_of(elsewhere) == "command.reused"
    assert counts(world.room) == [3]


def test_a_refusal_leaves_no_receipt_and_is_judged_anew(world: World):
    world.do("room.configure", locked=True)
    early = request(world.room, "message.send", world.member, text="hello")
    twin = request(world.room, "message.send", world.member, text="hello", id=early.client_id)
    run(early, twin)
    assert code_of(early) == code_of(twin) == "room.locked"
    assert not Receipt.objects.filter(client_id=early.client_id).exists()

    world.do("room.configure", locked=False)
    late = request(world.room, "message.send", world.member, text="hello", id=early.client_id)
    run(late)
    assert late.error is None
    assert Message.objects.filter(room_id=world.room).count() == 1


def test_after_a_ban_a_repeat_still_gets_its_first_answer_and_nothing_new_goes_in(world: World):
    once = request(world.room, "message.send", world.member, text="hello")
    run(once)
    world.do("member.ban", person=str(world.member))
    again = request(world.room, "message.send", world.member, text="hello", id=once.client_id)
    new = request(world.room, "message.send", world.member, text="more")
    run(again, new)
    assert again.answer == once.answer
    assert code_of(new) == "member.banned"


def test_what_is_ordered_after_the_ban_in_the_same_batch_is_refused(world: World):
    before, ban, after = (
        request(world.room, "message.send", world.member, text="before"),
        request(world.room, "member.ban", world.owner, person=str(world.member)),
        request(world.room, "message.send", world.member, text="after"),
    )
    run(before, ban, after)
    assert (before.error, ban.error, code_of(after)) == (None, None, "member.banned")


def test_an_id_older_than_the_receipts_is_refused_and_a_younger_one_is_not(world: World):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    with clock.frozen(moment):

        def made(at: datetime) -> UUID:
            return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)

        old = request(
            world.room,
            "sample.count",
            world.guest,
            id=made(moment - RECEIPT_RETENTION - timedelta(seconds=1)),
        )
        young = request(
            world.room,
            "sample.count",
            world.guest,
            id=made(moment - RECEIPT_RETENTION + timedelta(seconds=1)),
        )
        run(old, young)
    assert (code_of(old), young.error) == ("command.too_old", None)


def test_receipts_past_the_retention_go(world: World):
    with clock.frozen() as frozen:
        once = request(world.room, "sample.count", world.guest, by=1)
        run(once)
        frozen.advance(RECEIPT_RETENTION.total_seconds() + 1)
        streams.drop_receipts(older_than=clock.now() - RECEIPT_RETENTION)
        again = request(world.room, "sample.count", world.guest, by=1, id=once.client_id)
        run(again)
    assert code_of(again) == "command.too_old"
    assert counts(world.room) == [1]
