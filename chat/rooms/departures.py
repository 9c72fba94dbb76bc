"""What becomes of rooms whose owner goes for good."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db.models import Case, IntegerField, Q, Value, When

from chat.log.batch import Batch, Part
from chat.rooms.book import RoomBook
from chat.rooms.models import Membership, Role, Room, RoomKind
from chat.rooms.permissions import RANK


class Departures(Part):
    """Who would follow those of a batch who go for good."""

    rank: ClassVar[int] = 11

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._heirs: dict[tuple[UUID, UUID], UUID | None] = {}

    def want(self, room_id: UUID, person_id: UUID, *, tenant_owner: UUID | None) -> None:
        """Declare that a person goes. The room's head is locked: nobody comes or goes in it meanwhile.

        `tenant_owner` is whose the rooms are that the tenant has opened for everybody, or sells in.
        """
        heir = self._heirs[room_id, person_id] = _heir(room_id, person_id, tenant_owner)
        self.batch.part(RoomBook).want(room_id, [p for p in (person_id, heir) if p is not None])

    def hand_over(self, room_id: UUID, person_id: UUID, *, name: str) -> UUID | None:
        """Give a room to whoever follows; one in which nobody is left is closed, and its owner's words go, too."""
        rooms, heir = self.batch.part(RoomBook), self._heirs[room_id, person_id]
        if heir is None:
            rooms.configure(room_id, **_closed(name=name, now=self.batch.now))
        else:
            rooms.configure(room_id, owner_id=heir)
            rooms.appoint(room_id, heir, Role.OWNER)
        return heir


def _heir(room_id: UUID, person_id: UUID, tenant_owner: UUID | None) -> UUID | None:
    """The tenant's owner, where the room is the tenant's; else of the highest rank who has been there longest."""
    of_tenant = Room.objects.filter(Q(kind=RoomKind.SALE) | Q(open=True), id=room_id).exists()
    if of_tenant and tenant_owner not in {None, person_id}:
        return tenant_owner
    rank = Case(*(When(role=role, then=Value(n)) for role, n in RANK.items()), output_field=IntegerField())
    return (
        Membership.objects.filter(room_id=room_id, person__is_active=True)
        .exclude(person_id=person_id)
        .annotate(rank=rank)
        .order_by("-rank", "joined_at", "id")
        .values_list("person_id", flat=True)
        .first()
    )


def _closed(*, name: str, now: datetime) -> dict[str, object]:
    """The changes that close a room in which nobody is left, and take its owner's words out of it."""
    return {"name": name, "description": "", "announcement": "", "announced_at": None, "archived_at": now}
