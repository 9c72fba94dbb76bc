"""What the log forgets by itself: old events, receipts that are not needed any more, promises that were given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from chat.log import clock, reading, streams
from chat.log.models import Event, Outbox, Receipt, StreamHead
from chat.log.transaction import RECEIPT_RETENTION
from chat.log.verify import drifts
from chat.log.visibility import Viewer
from tests.chat.world import World, code_of, numbers, request, run

pytestmark = pytest.mark.database

DAY = 86_400.0
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def made_at(moment: datetime) -> UUID:
    """An id of version 7 that says it was made then."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | uuid4().int & 0xFFFFFFFF)


def drop_all(older_than: datetime, most: int = 100_000) -> int:
    """Every receipt that may go, in as many calls as it takes."""
    total, after = 0, streams.NO_ID
    while True:
        gone, after = streams.drop_receipts(older_than=older_than, after=after, most=most)
        total += gone
        if after == streams.NO_ID:
            return total


def counted(world: World) -> int:
    """How often it was counted."""
    return Event.objects.filter(stream_id=world.room, kind="sample.counted").count()


# --- receipts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ahead", [timedelta(0), timedelta(days=3), timedelta(days=3650)], ids=["now", "in days", "in ten years"]
)
def test_an_id_never_works_twice_whenever_it_says_it_was_made(world: World, ahead: timedelta) -> None:
    """Repeated every day for a month, with receipts dropped before each time."""
    with clock.frozen(START) as time:
        first = request(world.room, "sample.count", world.guest, id=made_at(START + ahead), by=1)
        run(first)
        assert not first.error
        for _ in range(30):
            time.advance(DAY)
            drop_all(clock.now() - RECEIPT_RETENTION)
            again = request(world.room, "sample.count", world.guest, id=first.client_id, by=1)
            run(again)
            assert again.repeated or code_of(again) == "command.too_old"
            assert counted(world) == 1


def test_without_the_guard_an_id_from_the_future_works_twice(world: World) -> None:
    """What the deletion by age alone did: the receipt is gone, and the id is not old."""
    with clock.frozen(START) as time:
        first = request(world.room, "sample.count", world.guest, id=made_at(START + timedelta(days=30)), by=1)
        run(first)
        time.advance(8 * DAY)
        Receipt.objects.filter(at__lt=clock.now() - RECEIPT_RETENTION).delete()
        run(request(world.room, "sample.count", world.guest, id=first.client_id, by=1))
    assert counted(world) == 2


def test_an_id_that_tells_no_age_keeps_its_receipt(world: World) -> None:
    """Ours, for what gateways report: they are of version 5, and refused by no age whatever they look like."""
    ours = UUID(int=made_at(START).int & ~(0xF << 76) | 5 << 76)
    with clock.frozen(START) as time:
        run(request(world.room, "sample.count", world.guest, id=ours, by=1))
        time.advance(400 * DAY)
        drop_all(clock.now() - RECEIPT_RETENTION)
        again = request(world.room, "sample.count", world.guest, id=ours, by=1)
        run(again)
    assert again.repeated
    assert counted(world) == 1


@pytest.mark.parametrize("answer", [{"order": "x", "line": "y"}, {"claim": {"order": "x"}}])
def test_the_key_of_an_order_lives_as_long_as_the_order(world: World, answer) -> None:
    with clock.frozen(START) as time:
        sent = request(world.room, "sample.count", world.guest, id=made_at(START), by=1)
        run(sent)
        other = request(world.room, "sample.count", world.guest, id=made_at(START), by=1)
        run(other)
        Receipt.objects.filter(client_id=sent.client_id).update(answer=answer)
        time.advance(400 * DAY)
        assert drop_all(clock.now() - RECEIPT_RETENTION) >= 1
        again = request(world.room, "sample.count", world.guest, id=sent.client_id, by=1)
        run(again)
    assert (again.repeated, again.answer) == (True, answer)
    assert not Receipt.objects.filter(client_id=other.client_id).exists()


def test_a_late_arrival_is_remembered_from_when_it_was_carried_out(world: World) -> None:
    with clock.frozen(START) as time:
        late = request(world.room, "sample.count", world.guest, id=made_at(START - timedelta(days=6)), by=1)
        run(late)
        time.advance(2 * DAY)
        drop_all(clock.now() - RECEIPT_RETENTION)
        again = request(world.room, "sample.count", world.guest, id=late.client_id, by=1)
        run(again)
    assert again.repeated


def test_receipts_go_in_slices(world: World) -> None:
    with clock.frozen(START) as time:
        for _ in range(7):
            run(request(world.room, "sample.count", world.guest, id=made_at(START), by=1))
        # those of the world are of another day
        Receipt.objects.filter(client_id__gte=made_at(START + timedelta(days=1))).delete()
        time.advance(30 * DAY)
        limit = clock.now() - RECEIPT_RETENTION
        gone, after = streams.drop_receipts(older_than=limit, most=3)
        assert (gone, Receipt.objects.count()) == (3, 4)
        gone, after = streams.drop_receipts(older_than=limit, after=after, most=3)
        assert gone == 3
        assert streams.drop_receipts(older_than=limit, after=after, most=3) == (1, streams.NO_ID)
    assert Receipt.objects.count() == 0


# --- the log --------------------------------------------------------------------------------------------------------


def test_old_events_go_in_slices_and_the_floor_rises(world: World) -> None:
    with clock.frozen(START) as time:
        room = world.another_room()
        for _ in range(10):
            world.do("sample.count", world.guest, room=room, by=1)
        old = StreamHead.objects.get(stream_id=room).seq
        time.advance(40 * DAY)
        for _ in range(5):
            world.do("sample.count", world.guest, room=room, by=1)
        limit = clock.now() - timedelta(days=30)
        assert room in streams.streams_with_old_events(before=limit, keep=2, most=100)
        gone = [streams.prune_old(room, before=limit, keep=2, most=4) for _ in range(old // 4 + 2)]
        assert sum(gone) == old
        assert max(gone) == 4
        assert gone[-1] == 0
        assert StreamHead.objects.get(stream_id=room).floor == old
        assert numbers(room) == list(range(old + 1, old + 6))
        assert room not in streams.streams_with_old_events(before=limit, keep=2, most=100)
        assert [d for d in drifts() if str(room) in d.subject] == []
        # everybody still gets a state
        assert b'"seq":%d' % (old + 5) in reading.snapshot(room, Viewer(world.guest))


def test_the_newest_events_stay_however_old(world: World) -> None:
    with clock.frozen(START) as time:
        room = world.another_room()
        for _ in range(10):
            world.do("sample.count", world.guest, room=room, by=1)
        seq = StreamHead.objects.get(stream_id=room).seq
        time.advance(4000 * DAY)
        assert streams.prune_old(room, before=clock.now(), keep=4, most=1000) == seq - 4
        assert streams.prune_old(room, before=clock.now(), keep=4, most=1000) == 0
        assert room not in streams.streams_with_old_events(before=clock.now(), keep=4, most=100)
    assert len(numbers(room)) == 4


# --- promises -------------------------------------------------------------------------------------------------------


def test_what_was_given_up_long_ago_goes_and_what_is_to_be_done_stays(db: None) -> None:
    with clock.frozen(START):
        for failed, days in ((True, 40), (True, 5), (False, 40)):
            Outbox.objects.create(
                id=uuid7(), name="x", payload={}, at=START - timedelta(days=days), failed=failed
            )
        assert streams.drop_promises(older_than=START - timedelta(days=30), most=100) == 1
    assert sorted(Outbox.objects.values_list("failed", flat=True)) == [False, True]
