"""What is heard of rooms and their members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.contrib.auth import get_user_model

from chat.log.registry import event, snapshot_part
from chat.log.visibility import Viewer
from chat.moderation.selectors import muted_until
from chat.rooms.models import Room
from chat.rooms.permissions import PERMISSIONS
from chat.rooms.selectors import roles_in, room_card


class RoomCard(msgspec.Struct):
    """The room as everyone who may read it sees it."""

    id: UUID
    shop: UUID
    kind: str
    name: str
    description: str
    open: bool
    locked: bool
    slow_seconds: int
    repeat_seconds: int
    links: str
    archived: bool
    announcement: dict[str, Any] | None


class MemberJoined(msgspec.Struct):
    """Somebody became a member."""

    person: UUID
    name: str


class MemberIs(msgspec.Struct):
    """Something about a member that has no further facts."""

    person: UUID


class MemberAppointed(msgspec.Struct):
    """Somebody has another role now."""

    person: UUID
    role: str


def _hydrate_card(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    # names and announcements are texts: replay tells the card of today, as the last of several would
    rooms = {str(room.id): room for room in Room.objects.filter(id__in=[b["id"] for b in bodies])}
    return [room_card(rooms[b["id"]]) if b["id"] in rooms else b for b in bodies]


def _hydrate_joined(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {
        str(id_): name
        for id_, name in get_user_model()
        .objects.filter(id__in=[b["person"] for b in bodies])
        .values_list("id", "name")
    }
    return [{"person": b["person"], "name": names.get(b["person"], "")} for b in bodies]


ROOM_CHANGED = event("room.changed", RoomCard, hydrate=_hydrate_card, changes_access=True)
MEMBER_JOINED = event("member.joined", MemberJoined, hydrate=_hydrate_joined, changes_access=True)
MEMBER_LEFT = event("member.left", MemberIs, changes_access=True)
MEMBER_APPOINTED = event("member.appointed", MemberAppointed, changes_access=True)
MEMBER_RECHECKED = event("member.rechecked", MemberIs, changes_access=True)


def _room(room_id: UUID) -> dict[str, Any]:
    return room_card(Room.objects.get(id=room_id))


def _me(room_id: UUID, viewer: Viewer) -> dict[str, Any]:
    role = roles_in([room_id], viewer.person_id)[room_id]
    until = muted_until(room_id, viewer.person_id) if viewer.person_id is not None else None
    return {
        "person": viewer.person_id,
        "role": role,
        "permissions": sorted(PERMISSIONS[role]),
        "muted_until": until,
    }


snapshot_part("room", "room", public=_room)
snapshot_part("room", "me", personal=_me)
