"""Creating streams, and the retention of their logs."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest
from uuid_utils.compat import uuid7

from chat.log import clock, store
from chat.log.models import Event, Outbox, Stream, StreamHead
from chat.log.transaction import RECEIPT_RETENTION

NO_ID = UUID(int=0)
# Seconds since then fit into the column until 2093.
_EPOCHS_SINCE = datetime(2025, 1, 1, tzinfo=UTC)


def create_stream(*, kind: str, tenant_id: UUID | None, stream_id: UUID | None = None) -> UUID:
    """Create a stream with an empty log and return its id. Joins the caller's transaction."""
    new_id = stream_id or uuid7()
    with transaction.atomic():
        stream = Stream.objects.create(id=new_id, kind=kind, tenant_id=tenant_id)
        StreamHead.objects.create(stream=stream)
    return new_id


def prune(stream_id: UUID, *, keep: int) -> int:
    """Delete all but the newest `keep` events of a stream and raise its floor. Returns how many events went.

    Readers behind the floor get a snapshot. What people see in history pages comes from the same log: choose `keep`
    well above what a page shows.
    """
    with transaction.atomic():
        head = StreamHead.objects.select_for_update(no_key=True).get(stream_id=stream_id)
        return _raise_floor(head, max(head.floor, head.seq - keep))


def prune_old(stream_id: UUID, *, before: datetime, keep: int, most: int) -> int:
    """Delete events from before a moment, the oldest first: at most `most`, and never the newest `keep`.

    The stream is locked only while so many rows go. Returns how many events went; fewer than `most` means that the
    stream has no more of them.
    """
    with transaction.atomic():
        head = StreamHead.objects.select_for_update(no_key=True).get(stream_id=stream_id)
        end = min(head.floor + most, head.seq - keep)
        if end <= head.floor:
            return 0
        here = Event.objects.filter(stream_id=stream_id, seq__gt=head.floor, seq__lte=end)
        # what is newer stays, and whatever has been numbered after it
        newer = here.filter(at__gte=before).order_by("seq").values_list("seq", flat=True).first()
        return _raise_floor(head, end if newer is None else newer - 1)


def _raise_floor(head: StreamHead, floor: int) -> int:
    if floor <= head.floor:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM event WHERE stream_id = %s AND seq <= %s",
            [_plain(head.stream_id), floor],
        )
        gone: int = cursor.rowcount
    StreamHead.objects.filter(stream_id=head.stream_id).update(floor=floor)
    return gone


def streams_with_old_events(*, before: datetime, keep: int, most: int) -> list[UUID]:
    """Streams whose oldest event is from before a moment, and which have more than `keep`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.stream_id FROM stream_head h JOIN event e ON e.stream_id = h.stream_id AND e.seq = h.floor + 1 "
            "WHERE h.seq - h.floor > %s AND e.at < %s ORDER BY h.stream_id LIMIT %s",
            [keep, store.stamp(before), most],
        )
        return [UUID(str(row[0])) for row in cursor.fetchall()]


def new_epoch() -> int:
    """After a restore from backup: every stream's epoch rises, so that every client takes a fresh snapshot.

    It rises to the present second: the same backup restored twice makes two epochs, and no client that has lived
    through the first takes the second for it. Returns how many streams there are.
    """
    seconds = int((clock.now() - _EPOCHS_SINCE).total_seconds())
    return StreamHead.objects.update(epoch=Greatest(F("epoch") + 1, Value(seconds)))


def drop_receipts(*, older_than: datetime, after: UUID = NO_ID, most: int = 100_000) -> tuple[int, UUID]:
    """Delete receipts past the retention. Their client ids are refused as too old from then on.

    A receipt goes only when it is old **and its id is refused without it**: an id says when it was made, and a client
    may have said a time to come, or (ids of ours) none at all. Those stay, or the same id would be carried out again.
    Receipts of commands that made an order stay as long as the order, which is for ever.

    Looks at no more than `most`, in the order of their ids, beginning after `after`. Returns how many went, and where
    the next call goes on: `NO_ID` when there is nothing more to look at.
    """
    last = _id_of(older_than)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT client_id FROM receipt WHERE client_id > %s AND client_id < %s "
            "ORDER BY client_id LIMIT 1 OFFSET %s",
            [_plain(after), _plain(last), most - 1],
        )
        found = cursor.fetchone()
        upto = UUID(str(found[0])) if found else last
        condition = _TELLS_ITS_AGE_AND_IS_OF_NO_ORDER[connection.vendor]
        cursor.execute(
            f"DELETE FROM receipt WHERE client_id > %s AND client_id <= %s AND at < %s AND {condition}",  # noqa: S608 - names of ours, values are parameters
            [_plain(after), _plain(upto), store.stamp(older_than)],
        )
        gone: int = cursor.rowcount
    return gone, upto if found else NO_ID


_TELLS_ITS_AGE_AND_IS_OF_NO_ORDER = {
    "postgresql": (
        "substr(client_id::text, 15, 1) = '7' AND answer->>'order' IS NULL AND answer->'claim'->>'order' IS NULL"
    ),
    "sqlite": (
        "substr(client_id, 13, 1) = '7' AND json_extract(answer, '$.order') IS NULL "
        "AND json_extract(answer, '$.claim.order') IS NULL"
    ),
}


def _plain(id_: UUID) -> UUID | str:
    """An id as a parameter: SQLite has no type for it."""
    return id_ if connection.vendor == "postgresql" else id_.hex


def _id_of(moment: datetime) -> UUID:
    """The first of all ids of version 7 that were made at that moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76)


def settled_before(older_than: datetime) -> UUID:
    """Ids before this one need not be looked at again after `drop_receipts` has been through with `older_than`.

    An id is taken only until it is `RECEIPT_RETENTION` old: what was accepted with an older one is past its time.
    """
    return _id_of(older_than - RECEIPT_RETENTION)


def drop_promises(*, older_than: datetime, most: int) -> int:
    """Delete promised work that was given up before a moment, and that nobody has looked at since."""
    old = Outbox.objects.filter(failed=True, at__lt=older_than).order_by("at").values_list("id", flat=True)
    return Outbox.objects.filter(id__in=list(old[:most])).delete()[0]
