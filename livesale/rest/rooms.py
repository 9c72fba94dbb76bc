"""Rooms as they look from outside, and the way in with an invite code."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from rest_framework.request import Request

from chat.log.errors import Refused
from chat.log.execute import execute
from chat.rooms.events import RoomCard
from chat.rooms.models import Invite, Room
from chat.rooms.selectors import roles_in, room_card
from commerce.shops.models import Shop
from livesale.rest.api import Api, operation
from livesale.rest.throttle import throttle


class RoomPage(msgspec.Struct, frozen=True):
    """A room, whose it is, and what this person is in it."""

    room: RoomCard
    shop_name: str
    role: str


class JoinByCode(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An invite code."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]


class Joined(msgspec.Struct, frozen=True):
    """The room that one is a member of now."""

    room: UUID


class RoomView(Api):
    @operation("room.card", answer=RoomPage, guests=True, errors=(403,))
    def get(self, request: Request, room: UUID) -> dict[str, Any]:
        """A room that this person may read."""
        self.viewer(room)
        found = Room.objects.filter(id=room).first()
        if found is None:
            raise Refused("stream.unknown")
        shop_name = Shop.objects.filter(id=found.tenant_id).values_list("name", flat=True).first()
        return {
            "room": room_card(found),
            "shop_name": shop_name or "",
            "role": roles_in([room], self.person_id)[room],
        }


class JoinView(Api):
    # a code has 59 bits; this is for those who try common words
    throttle_classes = [throttle("join", 20)]

    @operation("room.join", answer=Joined, body=JoinByCode)
    def post(self, request: Request, body: JoinByCode) -> Joined:
        """Become a member of the room that an invite code leads to."""
        person_id = self.require_person()
        room_id = Invite.objects.filter(code=body.code).values_list("room_id", flat=True).first()
        if room_id is None:
            raise Refused("invite.invalid")
        execute(room_id, "member.join", {"code": body.code}, actor_id=person_id)
        return Joined(room_id)
