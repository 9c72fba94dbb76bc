"""The messages of a batch: new ones, and those that are deleted, pinned or reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Insert, Part
from chat.messages.models import Message, MessageReport, Pin


@dataclass(slots=True)
class Known:
    id: UUID
    room_id: UUID
    author_id: UUID
    text: str
    hidden: bool
    deleted: bool
    name: str


class MessageBook(Part):
    rank: ClassVar[int] = 40

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._wanted: set[UUID] = set()
        self._wanted_pins_of: set[tuple[UUID, UUID]] = set()
        self._pinned_of: dict[tuple[UUID, UUID], set[UUID]] = {}
        self.known: dict[UUID, Known] = {}
        self._new: list[tuple[object, ...]] = []
        self._deleted: list[UUID] = []
        self._cleared: list[tuple[UUID, UUID]] = []
        self._pins: dict[UUID, tuple[UUID, UUID, UUID] | None] = {}
        self._reports: list[tuple[object, ...]] = []
        self.pinned: set[UUID] = set()
        # by whom, settled or not: nobody reports a message twice
        self.reported: set[tuple[UUID, UUID]] = set()
        self.open_reports: Counter[UUID] = Counter()
        self._settled: set[UUID] = set()
        self.pin_counts: Counter[UUID] = Counter()

    def want(self, message_id: UUID) -> None:
        self._wanted.add(message_id)

    def want_pins_of(self, room_id: UUID, person_id: UUID) -> None:
        """Declare that everything a person has written in a room may be deleted."""
        self._wanted_pins_of.add((room_id, person_id))

    def load(self, now: datetime) -> None:
        if self._wanted_pins_of:
            rooms_cleared, people = zip(*self._wanted_pins_of, strict=True)
            pins = Pin.objects.filter(room_id__in=set(rooms_cleared), message__author_id__in=set(people))
            for room_id, person_id, message_id in pins.values_list(
                "room_id", "message__author_id", "message_id"
            ):
                self._pinned_of.setdefault((room_id, person_id), set()).add(message_id)
        if not self._wanted:
            return
        rows = Message.objects.filter(id__in=self._wanted).values_list(
            "id", "room_id", "author_id", "text", "hidden", "deleted_at", "author__name"
        )
        for id_, room_id, author_id, text, hidden, deleted_at, name in rows:
            self.known[id_] = Known(id_, room_id, author_id, text, hidden, deleted_at is not None, name)
        rooms = {known.room_id for known in self.known.values()}
        self.pin_counts.update(Pin.objects.filter(room_id__in=rooms).values_list("room_id", flat=True))
        self.pinned = set(
            Pin.objects.filter(message_id__in=self._wanted).values_list("message_id", flat=True)
        )
        reports = MessageReport.objects.filter(message_id__in=self._wanted)
        for message_id, reporter_id, settled_at in reports.values_list(
            "message_id", "reporter_id", "settled_at"
        ):
            self.reported.add((message_id, reporter_id))
            if settled_at is None:
                self.open_reports[message_id] += 1

    def find(self, message_id: UUID, room_id: UUID) -> Known | None:
        """A message of that room that is still there."""
        known = self.known.get(message_id)
        return known if known is not None and known.room_id == room_id and not known.deleted else None

    def add(
        self,
        *,
        tenant_id: UUID,
        room_id: UUID,
        author_id: UUID,
        text: str,
        reply_to: UUID | None,
        hidden: bool,
    ) -> UUID:
        message_id = uuid7()
        self._new.append(
            (message_id, tenant_id, room_id, author_id, text, reply_to, hidden, self.batch.now, None)
        )
        return message_id

    def delete(self, known: Known) -> None:
        known.deleted = True
        self._deleted.append(known.id)

    def clear(self, room_id: UUID, person_id: UUID) -> list[UUID]:
        """Delete everything a person has written in a room so far; returns which of it was pinned."""
        self._cleared.append((room_id, person_id))
        # what this batch has added is not in the table yet; what it adds later stays
        for i, row in enumerate(self._new):
            if (row[2], row[3]) == (room_id, person_id):
                self._new[i] = (*row[:4], "", *row[5:8], self.batch.now)
        pinned = self._pinned_of.pop((room_id, person_id), set())
        for known in self.known.values():
            if (known.room_id, known.author_id) == (room_id, person_id):
                known.deleted = True
        self.pinned -= pinned
        self.pin_counts[room_id] -= len(pinned)
        for message_id in pinned:
            self._pins[message_id] = None
        return sorted(pinned)

    def pin(self, known: Known, tenant_id: UUID, by: UUID) -> None:
        self.pinned.add(known.id)
        self._pinned_of.setdefault((known.room_id, known.author_id), set()).add(known.id)
        self.pin_counts[known.room_id] += 1
        # the latest pin is the last of the batch
        self._pins.pop(known.id, None)
        self._pins[known.id] = (tenant_id, known.room_id, by)

    def unpin(self, known: Known) -> None:
        self.pinned.discard(known.id)
        self._pinned_of.get((known.room_id, known.author_id), set()).discard(known.id)
        self.pin_counts[known.room_id] -= 1
        self._pins[known.id] = None

    def report(self, known: Known, tenant_id: UUID, by: UUID, reason: str) -> None:
        self.reported.add((known.id, by))
        self.open_reports[known.id] += 1
        self._reports.append((uuid7(), tenant_id, known.room_id, known.id, by, reason, self.batch.now, None))

    def settle(self, known: Known) -> None:
        """The staff have looked at the reports of a message and let it stand."""
        self.open_reports[known.id] = 0
        self._reports = [(*row[:7], self.batch.now) if row[3] == known.id else row for row in self._reports]
        self._settled.add(known.id)

    def write(self, now: datetime, insert: Insert) -> None:
        if self._settled:
            MessageReport.objects.filter(message_id__in=self._settled, settled_at__isnull=True).update(
                settled_at=now
            )
        for room_id, person_id in self._cleared:
            mine = Message.objects.filter(room_id=room_id, author_id=person_id, deleted_at__isnull=True)
            Pin.objects.filter(message__in=mine).delete()
            mine.update(text="", deleted_at=now)
        insert(
            Message,
            ("id", "tenant_id", "room_id", "author_id", "text", "reply_to", "hidden", "at", "deleted_at"),
            self._new,
        )
        if self._deleted:
            Message.objects.filter(id__in=self._deleted).update(text="", deleted_at=now)
            Pin.objects.filter(message_id__in=self._deleted).delete()
        if self._pins:
            Pin.objects.filter(message_id__in=list(self._pins)).delete()
            insert(
                Pin,
                ("id", "tenant_id", "room_id", "message_id", "pinned_by_id", "at"),
                [
                    (uuid7(), pin[0], pin[1], message_id, pin[2], now)
                    for message_id, pin in self._pins.items()
                    if pin is not None and message_id not in self._deleted
                ],
            )
        insert(
            MessageReport,
            ("id", "tenant_id", "room_id", "message_id", "reporter_id", "reason", "at", "settled_at"),
            self._reports,
        )
