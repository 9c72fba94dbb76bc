"""Time-outs, bans, hiding, removing everything by one person. Each bites in the transaction that decides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from django.db.models import Q
from uuid_utils.compat import uuid7

from chat.log.batch import SYSTEM, Batch, Insert, Part, Request
from chat.log.errors import Refused
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.book import MessageBook
from chat.moderation.audit import Audit
from chat.moderation.models import Sanction, SanctionKind
from chat.rooms.book import RoomBook, Standing
from chat.rooms.models import Room

Reason = Annotated[str, msgspec.Meta(max_length=200)]

# Called with (batch, room id, person id, everywhere) when a person loses their place: the project lets go what they
# hold, `everywhere` once for what they hold outside the tenant's rooms, too.
_on_removal: list[Callable[[Batch, UUID, UUID, bool], None]] = []
# Called with (batch, requests) while declaring, for the same commands.
_on_removal_declared: list[Callable[[Batch, Sequence[tuple[UUID, UUID]]], None]] = []


def when_removed(
    *,
    declare: Callable[[Batch, Sequence[tuple[UUID, UUID]]], None],
    decide: Callable[[Batch, UUID, UUID, bool], None],
) -> None:
    """Let another subject take part in the same transaction when a person is banned or cleared from a room."""
    _on_removal_declared.append(declare)
    _on_removal.append(decide)


class TimeOut(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Keep a person from writing for a while."""

    person: UUID
    seconds: Annotated[int, msgspec.Meta(ge=10, le=14 * 86400)]
    reason: Reason = ""


class Ban(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Put a person out of the room, or with `everywhere` out of all the shop's rooms. Unpaid holds go to the next."""

    person: UUID
    reason: Reason = ""
    everywhere: bool = False


class Unban(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Lift a person's ban, time-out and hiding."""

    person: UUID
    reason: Reason = ""
    everywhere: bool = False


class Hide(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Let a person write on, seen by themselves and the staff only."""

    person: UUID
    reason: Reason = ""


class Clear(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Delete everything that a person has written here and let go what they hold unpaid."""

    person: UUID
    reason: Reason = ""


class RemovedElsewhere(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A shop-wide ban, told to one of the shop's rooms."""

    person: UUID
    banned: bool


class SanctionBook(Part):
    """Sanctions laid and lifted in a batch."""

    rank: ClassVar[int] = 45

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._new: list[tuple[Any, ...]] = []
        self._lifted: list[tuple[UUID, UUID | None, UUID]] = []
        self._replaced: list[tuple[UUID, UUID | None, UUID, str]] = []

    def lay(
        self,
        *,
        tenant_id: UUID,
        room_id: UUID | None,
        person_id: UUID,
        kind: str,
        until: datetime | None,
        by: Request,
    ) -> None:
        """Lay a sanction in the place of an earlier one of its kind."""
        replaced = (tenant_id, room_id, person_id, kind)
        self._replaced.append(replaced)
        self._new = [n for n in self._new if n[1:5] != replaced]
        self._new.append(
            (
                uuid7(),
                tenant_id,
                room_id,
                person_id,
                kind,
                until,
                by.body.reason,
                by.actor_id,
                self.batch.now,
                None,
            )
        )

    def lift(self, *, tenant_id: UUID, room_id: UUID | None, person_id: UUID) -> None:
        self._lifted.append((tenant_id, room_id, person_id))
        self._new = [n for n in self._new if n[1:4] != (tenant_id, room_id, person_id)]

    def write(self, now: datetime, insert: Insert) -> None:
        for tenant_id, room_id, person_id in self._lifted:
            where = Q(room_id__isnull=True) if room_id is None else Q(room_id=room_id)
            Sanction.objects.filter(
                where, tenant_id=tenant_id, person_id=person_id, lifted_at__isnull=True
            ).update(lifted_at=now)
        for tenant_id, room_id, person_id, kind in self._replaced:
            where = Q(room_id__isnull=True) if room_id is None else Q(room_id=room_id)
            Sanction.objects.filter(
                where, tenant_id=tenant_id, person_id=person_id, kind=kind, lifted_at__isnull=True
            ).update(lifted_at=now)
        insert(
            Sanction,
            (
                "id",
                "tenant_id",
                "room_id",
                "person_id",
                "kind",
                "until",
                "reason",
                "by_id",
                "at",
                "lifted_at",
            ),
            self._new,
        )


class _Against(Handler):
    """Acts against one person: the actor needs a permission and must outrank the target."""

    permission: ClassVar[str]
    removes: ClassVar[bool] = False

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        rooms = batch.part(RoomBook)
        batch.part(SanctionBook)
        batch.part(MessageBook)
        batch.part(Audit)
        for r in requests:
            rooms.want(r.stream_id, [r.actor_id, r.body.person])
        if self.removes:
            for declare in _on_removal_declared:
                declare(batch, [(r.stream_id, r.body.person) for r in requests])

    def target(self, batch: Batch, request: Request) -> Standing:
        rooms = batch.part(RoomBook)
        actor = rooms.require(request.stream_id, request.actor_id, self.permission)
        target = rooms.standing(request.stream_id, request.body.person)
        if rooms.name_of(request.body.person) is None:
            raise Refused("person.unknown")
        if not actor.outranks(target):
            raise Refused("permission.denied")
        everywhere = getattr(request.body, "everywhere", False)
        if everywhere and not rooms.may(request.stream_id, actor, "member.ban_everywhere"):
            raise Refused("permission.denied")
        return target


@command("member.timeout", TimeOut)
class TimeOutMember(_Against):
    permission = "member.timeout"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        target = self.target(batch, request)
        room = batch.part(RoomBook).room(request.stream_id)
        until = batch.now + timedelta(seconds=request.body.seconds)
        target.muted_until = until
        batch.part(SanctionBook).lay(
            tenant_id=room.tenant_id,
            room_id=room.id,
            person_id=request.body.person,
            kind=SanctionKind.TIMEOUT,
            until=until,
            by=request,
        )
        batch.part(Audit).add(
            request, "member.timeout", target_id=request.body.person, seconds=request.body.seconds
        )
        batch.emit(
            room.id,
            "member.timed_out",
            {"person": str(request.body.person), "until": int(until.timestamp() * 1000)},
            audience=Audience.AUTHOR,
            person_id=request.body.person,
        )
        return {"until": int(until.timestamp() * 1000)}


@command("member.ban", Ban)
class BanMember(_Against):
    permission = "member.ban"
    removes = True

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        target = self.target(batch, request)
        rooms = batch.part(RoomBook)
        room = rooms.room(request.stream_id)
        everywhere = request.body.everywhere
        batch.part(SanctionBook).lay(
            tenant_id=room.tenant_id,
            room_id=None if everywhere else room.id,
            person_id=request.body.person,
            kind=SanctionKind.BAN,
            until=None,
            by=request,
        )
        batch.part(Audit).add(request, "member.ban", target_id=request.body.person, everywhere=everywhere)
        target.banned = True
        target.banned_everywhere = target.banned_everywhere or everywhere
        if target.member:
            rooms.leave(room.id, request.body.person)
        for let_go in _on_removal:
            let_go(batch, room.id, request.body.person, everywhere)
        batch.emit(room.id, "member.banned", {"person": str(request.body.person), "everywhere": everywhere})
        if everywhere:
            _tell_other_rooms(batch, room.tenant_id, room.id, request, banned=True)
        return {}


def _tell_other_rooms(
    batch: Batch, tenant_id: UUID, room_id: UUID, request: Request, *, banned: bool
) -> None:
    others = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True).exclude(id=room_id)
    for other_id in others.values_list("id", flat=True):
        batch.follow_up(
            other_id,
            "member.removed_elsewhere",
            {"person": request.body.person, "banned": banned},
            key=str(request.client_id),
        )


@command("member.removed_elsewhere", RemovedElsewhere, system=True)
class RemoveElsewhere(Handler):
    """Written down in every room of the shop: its sockets are judged anew, unpaid holds go to the next."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        rooms = batch.part(RoomBook)
        for r in requests:
            rooms.want(r.stream_id, [r.body.person])
        for declare in _on_removal_declared:
            declare(batch, [(r.stream_id, r.body.person) for r in requests])

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        assert request.actor_id == SYSTEM
        person_id = request.body.person
        rooms = batch.part(RoomBook)
        if request.body.banned:
            standing = rooms.standing(request.stream_id, person_id)
            if standing.member:
                rooms.leave(request.stream_id, person_id)
            for let_go in _on_removal:
                let_go(batch, request.stream_id, person_id, False)
        kind = "member.banned" if request.body.banned else "member.unbanned"
        batch.emit(request.stream_id, kind, {"person": str(person_id), "everywhere": True})
        return {}


@command("member.unban", Unban)
class UnbanMember(_Against):
    permission = "member.ban"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        target = self.target(batch, request)
        room = batch.part(RoomBook).room(request.stream_id)
        everywhere = request.body.everywhere
        sanctions = batch.part(SanctionBook)
        sanctions.lift(tenant_id=room.tenant_id, room_id=room.id, person_id=request.body.person)
        if everywhere:
            sanctions.lift(tenant_id=room.tenant_id, room_id=None, person_id=request.body.person)
        target.banned = target.banned_everywhere and not everywhere
        target.banned_everywhere = target.banned
        target.hidden = False
        target.muted_until = None
        batch.part(Audit).add(request, "member.unban", target_id=request.body.person, everywhere=everywhere)
        batch.emit(
            room.id,
            "member.unbanned",
            {"person": str(request.body.person), "everywhere": everywhere},
            audience=Audience.AUTHOR,
            person_id=request.body.person,
        )
        if everywhere:
            _tell_other_rooms(batch, room.tenant_id, room.id, request, banned=False)
        return {}


@command("member.hide", Hide)
class HideMember(_Against):
    permission = "member.ban"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        target = self.target(batch, request)
        room = batch.part(RoomBook).room(request.stream_id)
        target.hidden = True
        batch.part(SanctionBook).lay(
            tenant_id=room.tenant_id,
            room_id=room.id,
            person_id=request.body.person,
            kind=SanctionKind.HIDE,
            until=None,
            by=request,
        )
        batch.part(Audit).add(request, "member.hide", target_id=request.body.person)
        batch.emit(room.id, "member.hidden", {"person": str(request.body.person)}, audience=Audience.STAFF)
        return {}


@command("member.clear", Clear)
class ClearMember(_Against):
    permission = "member.clear"
    removes = True

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        super().declare(batch, requests)
        for r in requests:
            batch.part(MessageBook).want_pins_of(r.stream_id, r.body.person)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.target(batch, request)
        room = batch.part(RoomBook).room(request.stream_id)
        unpinned = batch.part(MessageBook).clear(room.id, request.body.person)
        for let_go in _on_removal:
            let_go(batch, room.id, request.body.person, False)
        batch.part(Audit).add(request, "member.clear", target_id=request.body.person)
        batch.emit(room.id, "member.cleared", {"person": str(request.body.person)})
        for message_id in unpinned:
            batch.emit(room.id, "message.unpinned", {"message": str(message_id)})
        return {}
