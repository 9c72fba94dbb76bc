"""Creating rooms."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from chat.log.streams import create_stream
from chat.rooms.models import Links, Membership, Role, Room, RoomKind


def create_room(
    *,
    tenant_id: UUID,
    kind: str,
    name: str,
    owner_id: UUID,
    now: datetime,
    description: str = "",
    open: bool = True,
) -> UUID:
    """Create a room with its stream; its owner is its first member. Joins the caller's transaction."""
    with transaction.atomic():
        room_id = create_stream(kind="room", tenant_id=tenant_id)
        Room.objects.create(
            id=room_id,
            tenant_id=tenant_id,
            kind=kind,
            name=name,
            description=description,
            owner_id=owner_id,
            open=open,
            # strangers watch a sale, and an address among prices is how they are cheated
            links=Links.STAFF if kind == RoomKind.SALE else Links.EVERYBODY,
            created_at=now,
        )
        Membership.objects.create(
            tenant_id=tenant_id, room_id=room_id, person_id=owner_id, role=Role.OWNER, joined_at=now
        )
    return room_id
