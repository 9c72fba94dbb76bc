"""Joining and leaving, inviting and appointing, configuring and closing rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.text import clean
from chat.moderation.audit import Audit
from chat.rooms.book import RoomBook
from chat.rooms.invites import InviteBook
from chat.rooms.models import RoomKind
from chat.rooms.permissions import GUEST, RANK

describe("member.owner_stays", "The owner cannot leave the room.")
describe("invite.invalid", "That invitation is not valid any more.")

# What of a room a moderator may change: how people write in it.
RULES = ("slow_seconds", "repeat_seconds", "links", "locked")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class JoinRoom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Become a member: of an open room by itself, of any room with an invite code."""

    code: Annotated[str, msgspec.Meta(max_length=24)] = ""


class LeaveRoom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Stop being a member."""


class Appoint(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Give a person a role in the room."""

    person: UUID
    role: Literal["host", "moderator", "member"]


class ConfigureRoom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Change the room's name, description, rules of writing, lock or openness. What is left out stays.

    `links`: who may send them; those of everybody but the staff must be https. `repeat_seconds`: for how long nobody
    but the staff may say the same, or nearly the same, again.
    """

    name: Name | None = None
    description: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    slow_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] | None = None
    repeat_seconds: Annotated[int, msgspec.Meta(ge=0, le=600)] | None = None
    links: Literal["off", "staff", "everybody"] | None = None
    locked: bool | None = None
    open: bool | None = None


class Announce(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Show a text to everyone at the top of the room; empty takes it away."""

    text: Annotated[str, msgspec.Meta(max_length=500)]


class ArchiveRoom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Close the room for good: it can be read, nothing can be added."""


class CreateInvite(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Make an invite code."""

    uses: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 90)] | None = None


class RevokeInvite(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Make an invite code worthless."""

    code: Annotated[str, msgspec.Meta(max_length=24)]


class RecheckMember(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The tenant has made this person part of its staff, or no longer.

    `heir`: to whom the rooms go that they run and run no longer; none, when nothing is taken from them.
    """

    person: UUID
    heir: UUID | None = None


class _InRoom(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        rooms = batch.part(RoomBook)
        batch.part(Audit)
        for r in requests:
            rooms.want(r.stream_id, [r.actor_id, *self.others(r)])

    def others(self, request: Request) -> list[UUID]:
        return []


def tell_room(batch: Batch, room_id: UUID) -> None:
    """Emit the room's card as this batch leaves it."""
    batch.emit(room_id, "room.changed", {"id": str(room_id)})


@command("member.join", JoinRoom)
class Join(_InRoom):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        invites = batch.part(InviteBook)
        for r in requests:
            invites.want(r.body.code)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        room = book.room(request.stream_id)
        standing = book.standing(request.stream_id, request.actor_id)
        if standing.banned:
            raise Refused("member.banned")
        if standing.member:
            return {"room": str(room.id)}
        if room.archived:
            raise Refused("room.archived")
        invite = batch.part(InviteBook).valid(request.body.code, room.id)
        if not room.open and invite is None:
            raise Refused("invite.invalid" if request.body.code else "stream.unknown")
        if invite is not None:
            batch.part(InviteBook).use(invite)
        book.join(room.id, request.actor_id)
        name = book.name_of(request.actor_id)
        batch.emit(
            room.id,
            "member.joined",
            {"person": str(request.actor_id)},
            wire={"person": str(request.actor_id), "name": name},
        )
        return {"room": str(room.id)}


@command("member.leave", LeaveRoom)
class Leave(_InRoom):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        standing = book.standing(request.stream_id, request.actor_id)
        if standing.role == "owner":
            raise Refused("member.owner_stays")
        if standing.member:
            book.leave(request.stream_id, request.actor_id)
            batch.emit(request.stream_id, "member.left", {"person": str(request.actor_id)})
        return {}


@command("member.appoint", Appoint)
class AppointMember(_InRoom):
    def others(self, request: Request) -> list[UUID]:
        return [request.body.person]

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        standing = book.require(request.stream_id, request.actor_id, "member.appoint")
        target = book.standing(request.stream_id, request.body.person)
        if not standing.outranks(target) or target.banned:
            raise Refused("permission.denied")
        if target.role == GUEST and book.is_gone(request.body.person):
            raise Refused("person.unknown")
        book.appoint(request.stream_id, request.body.person, request.body.role)
        batch.part(Audit).add(
            request, "member.appoint", target_id=request.body.person, role=request.body.role
        )
        batch.emit(
            request.stream_id,
            "member.appointed",
            {"person": str(request.body.person), "role": request.body.role},
        )
        return {}


@command("room.configure", ConfigureRoom)
class Configure(_InRoom):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        changes = {
            name: value
            for name in ("name", "description", *RULES, "open")
            if (value := getattr(request.body, name)) is not None
        }
        only_rules = changes.keys() <= set(RULES)
        book.require(request.stream_id, request.actor_id, "room.slow" if only_rules else "room.configure")
        if changes.get("open"):
            # what everybody may see stands under the tenant's name
            book.require(request.stream_id, request.actor_id, "room.open")
        for name, limit in (("name", 80), ("description", 500)):
            if changes.get(name):
                changes[name] = clean(changes[name], limit=limit)
        if changes:
            book.configure(request.stream_id, **changes)
            batch.part(Audit).add(request, "room.configure", fields=sorted(changes))
            tell_room(batch, request.stream_id)
        return {}


@command("room.announce", Announce)
class AnnounceText(_InRoom):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        book.require(request.stream_id, request.actor_id, "room.announce")
        text = clean(request.body.text) if request.body.text.strip() else ""
        book.configure(request.stream_id, announcement=text, announced_at=batch.now if text else None)
        batch.part(Audit).add(request, "room.announce")
        tell_room(batch, request.stream_id)
        return {}


@command("room.archive", ArchiveRoom)
class Archive(_InRoom):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        book.require(request.stream_id, request.actor_id, "room.archive")
        book.configure(request.stream_id, archived_at=batch.now)
        batch.part(Audit).add(request, "room.archive")
        tell_room(batch, request.stream_id)
        return {}


@command("invite.create", CreateInvite)
class Invite(_InRoom):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        batch.part(InviteBook)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        book.require(request.stream_id, request.actor_id, "invite.create")
        code = batch.part(InviteBook).create(
            room=book.room(request.stream_id),
            by=request.actor_id,
            uses=request.body.uses,
            hours=request.body.hours,
        )
        # not the code: whoever reads the audit need not be somebody who may let people in
        batch.part(Audit).add(request, "invite.create", uses=request.body.uses, hours=request.body.hours)
        return {"code": code}


@command("invite.revoke", RevokeInvite)
class Revoke(_InRoom):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        for r in requests:
            batch.part(InviteBook).want(r.body.code)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        book.require(request.stream_id, request.actor_id, "invite.create")
        invites = batch.part(InviteBook)
        invite = invites.valid(request.body.code, request.stream_id)
        if invite is None:
            raise Refused("invite.invalid")
        invites.revoke(invite)
        batch.part(Audit).add(request, "invite.revoke")
        return {}


@command("member.recheck", RecheckMember, system=True)
class Recheck(_InRoom):
    """A person's standing has changed beside the room: their sockets in it are judged anew."""

    def others(self, request: Request) -> list[UUID]:
        return [request.body.person, *([request.body.heir] if request.body.heir is not None else [])]

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        if request.body.heir is not None:
            self._pass_on(batch, request.stream_id, request.body.person, request.body.heir)
        batch.emit(
            request.stream_id,
            "member.rechecked",
            {"person": str(request.body.person)},
            audience=Audience.STAFF,
        )
        return {}

    def _pass_on(self, batch: Batch, room_id: UUID, person_id: UUID, heir: UUID) -> None:
        """Who works for the tenant no longer, or in a lesser role, runs none of its rooms by an earlier one.

        A closed group is not the tenant's: whoever has opened it may have done so as a customer.
        """
        book = batch.part(RoomBook)
        room = book.room(room_id)
        if room.kind != RoomKind.SALE and not room.open:
            return
        standing = book.standing(room_id, person_id)
        left = standing.tenant_role if standing.tenant_role != GUEST else "member"
        appointed = []
        if room.owner_id == person_id:
            book.configure(room_id, owner_id=heir)
            appointed.append((heir, "owner"))
        if RANK[standing.role] > RANK[left]:
            appointed.append((person_id, left))
        for who, role in appointed:
            book.appoint(room_id, who, role)
            batch.emit(room_id, "member.appointed", {"person": str(who), "role": role})
