"""Creating streams, and the retention of their logs."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest
from uuid_utils.compat import uuid7

from chat.log import clock
from chat.log.models import Event, Receipt, Stream, StreamHead

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
        floor = max(head.floor, head.seq - keep)
        gone, _ = Event.objects.filter(stream_id=stream_id, seq__lte=floor).delete()
        StreamHead.objects.filter(stream_id=stream_id).update(floor=floor)
    return gone


def new_epoch() -> int:
    """After a restore from backup: every stream's epoch rises, so that every client takes a fresh snapshot.

    It rises to the present second: the same backup restored twice makes two epochs, and no client that has lived
    through the first takes the second for it. Returns how many streams there are.
    """
    seconds = int((clock.now() - _EPOCHS_SINCE).total_seconds())
    return StreamHead.objects.update(epoch=Greatest(F("epoch") + 1, Value(seconds)))


def drop_receipts(*, older_than: datetime) -> int:
    """Delete receipts past the retention. Their client ids are refused as too old from then on."""
    gone, _ = Receipt.objects.filter(at__lt=older_than).delete()
    return gone
