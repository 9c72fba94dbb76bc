"""Writers of messages beside the commands: what goes by itself, and what goes with its author."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from chat.messages.models import Message, MessageReport


def thin_out(room_id: UUID, person_id: UUID, *, now: datetime, leave: int, slice_: int) -> int:
    """Delete what a person has written in a room, the oldest first, until `leave` are left; returns how many went.

    The room is not locked: nobody is told of it until the command that deletes the rest (`MessageBook.clear`) tells
    of all. Pinned messages are left to it, too.
    """
    total = 0
    all_left = Message.objects.filter(
        room_id=room_id, author_id=person_id, deleted_at__isnull=True, pin__isnull=True
    ).order_by("at")
    left = all_left
    while True:
        rows = list(left.values_list("id", "at")[: slice_ + leave])
        rows = rows[: max(0, len(rows) - leave)][:slice_]
        if not rows:
            return total
        total += Message.objects.filter(id__in=[id_ for id_, _ in rows]).update(text="", deleted_at=now)
        # those before it are deleted: they need not be passed by again
        left = all_left.filter(at__gte=rows[-1][1])


def _readable_no_more(room_id: UUID, before: datetime) -> QuerySet[Message]:
    open_report = MessageReport.objects.filter(message_id=OuterRef("pk"), settled_at__isnull=True)
    unseen = Q(deleted_at__isnull=True) & Exists(open_report)
    return Message.objects.filter(~unseen, room_id=room_id, at__lt=before, pin__isnull=True)


def drop_old(room_id: UUID, *, before: datetime, most: int) -> int:
    """Remove a room's messages from before a moment, which no event names any more.

    What is pinned stays, and what somebody has reported until the staff have looked at it: both are still shown.
    """
    old = _readable_no_more(room_id, before)
    ids = list(old.order_by("at").values_list("id", flat=True)[:most])
    if ids:
        with transaction.atomic():
            # a pin or a report that has come meanwhile keeps its message
            free = list(
                old.select_for_update(of=("self",), no_key=True)
                .filter(id__in=ids)
                .values_list("id", flat=True)
            )
            MessageReport.objects.filter(message_id__in=free).delete()
            Message.objects.filter(id__in=free)._raw_delete("default")
    return len(ids)
