# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""What a batch knows of rooms: the rooms themselves, the people acting in them, their sanctions and recent words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import get_user_model
from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Insert, Part
from chat.log.errors import Refused, describe
from chat.log.store import Rows, any_of, ask, id_rows, stamp
from chat.moderation.models import SanctionKind
from chat.rooms.models import Membership, Room, RoomKind
from chat.rooms.permissions import GUEST, RANK, STAFF_ROLES, may
from chat.rooms.selectors import ask_tenant_roles

# Messages a person may send to one room in a window, before `message.too_fast`.
RATE_WINDOW = timedelta(seconds=10)
RATE_LIMIT = 12
# Messages that a room shows to everyone in a window. Beyond it a feed is unreadable: what comes then is seen by its
# author and the staff only, and the room is told that its feed is thinned.
CEILING_WINDOW = timedelta(seconds=2)
CEILING = 60

_ROOM = (
    "id, tenant_id, kind, name, owner_id, open, locked, slow_seconds, archived_at IS NOT NULL, links, "
    "repeat_seconds"
)

describe("room.archived", "This room is closed.")
describe("room.locked", "Only the hosts can write here right now.")
describe("member.banned", "You cannot take part here any more.")
describe("member.timed_out", "You can write again in {seconds} seconds.")
describe("message.slow", "Slow mode: you can write again in {seconds} seconds.")
describe("message.too_fast", "Too many messages. You can write again in {seconds} seconds.")


@dataclass(slots=True)
class Standing:
    """One person in one room, as this batch goes on to change it."""

    role: str = GUEST
    # the role of those who work for the tenant, in whatever room of it
    tenant_role: str = GUEST
    member: bool = False
    banned: bool = False
    banned_everywhere: bool = False
    muted_until: datetime | None = None
    hidden: bool = False
    recent: int = 0
    last_message_at: datetime | None = None

    def outranks(self, other: Standing) -> bool:
        """Whether this person may act against the other one; a tenant's owner may against whoever runs a room."""
        return self._rank > other._rank

    @property
    def _rank(self) -> tuple[int, bool]:
        return RANK.get(self.role, 0), self.tenant_role == "owner"


@dataclass(slots=True)
class RoomState:
    id: UUID
    tenant_id: UUID
    kind: str
    name: str
    owner_id: UUID
    open: bool
    locked: bool
    slow_seconds: int
    archived: bool
    links: str
    repeat_seconds: int
    changes: dict[str, Any] = field(default_factory=dict)


class RoomBook(Part):
    """Rooms and standings of one batch."""

    rank: ClassVar[int] = 10

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._rooms: set[UUID] = set()
        self._wants_recent: set[UUID] = set()
        self._shown: dict[UUID, int] = {}
        self.rooms: dict[UUID, RoomState] = {}
        self._standings: dict[tuple[UUID, UUID], Standing] = {}
        self._joined: list[tuple[UUID, UUID, str]] = []
        self._roles: list[tuple[UUID, UUID, str]] = []
        self._left: list[tuple[UUID, UUID]] = []
        self.names: dict[UUID, str] = {}
        self._gone: set[UUID] = set()

    def want(self, room_id: UUID, people: Iterable[UUID], *, recent: bool = False) -> None:
        """Declare people whose standing in a room will be asked; `recent` with how much they have written lately."""
        self._rooms.add(room_id)
        for person_id in people:
            key = (room_id, person_id)
            if key not in self._standings:
                self._standings[key] = Standing()
        if recent:
            self._wants_recent.add(room_id)

    def load(self, now: datetime) -> Iterator[None]:
        if not self._rooms:
            return
        people = {person_id for _, person_id in self._standings}
        # a room's stream has its id and its tenant: nothing has to wait for the rooms themselves
        tenants = {t for room in self._rooms if (t := self.batch.heads[room].tenant_id) is not None}
        condition, room_ids = any_of("id", self._rooms)
        rooms = ask(f"SELECT {_ROOM} FROM room WHERE {condition}", [room_ids], "uussubbibsi")
        members, names = self._ask_members(), self._ask_names(people)
        staff, sanctions = ask_tenant_roles(tenants, people), self._ask_sanctions(people, tenants, now)
        shown, recent = self._ask_shown(now), self._ask_recent(now, now - RATE_WINDOW)
        yield
        for row in rooms():
            self.rooms[row[0]] = RoomState(*row)
        for room_id, person_id, role in members():
            standing = self._standings.get((room_id, person_id))
            if standing is not None:
                standing.role, standing.member = role, True
        for person_id, name, active in names():
            self.names[person_id] = name
            if not active:
                self._gone.add(person_id)
        self._appoint_staff(staff())
        self._impose(sanctions())
        self._shown = dict(shown())
        slow = max((self.rooms[r].slow_seconds for r in self._wants_recent if r in self.rooms), default=0)
        if slow > RATE_WINDOW.total_seconds():
            recent = self._ask_recent(now, now - timedelta(seconds=slow))
        for room_id, person_id, count, last in recent():
            standing = self._standings.get((room_id, person_id))
            if standing is not None:
                standing.recent, standing.last_message_at = count, last

    def _ask_members(self) -> Callable[[], Rows]:
        if not self._standings:
            return list
        source, ids = id_rows("w", ("room_id", "person_id"), list(self._standings))
        sql = f"SELECT room_id, person_id, m.role FROM {source} JOIN membership m USING (room_id, person_id)"
        return ask(sql, ids, "uus")

    def _ask_names(self, people: set[UUID]) -> Callable[[], Rows]:
        condition, ids = any_of("id", people)
        table = get_user_model()._meta.db_table
        return ask(f"SELECT id, name, is_active FROM {table} WHERE {condition}", [ids], "usb")

    def _ask_sanctions(self, people: set[UUID], of: set[UUID], now: datetime) -> Callable[[], Rows]:
        rooms, room_ids = any_of("room_id", self._rooms)
        tenants, tenant_ids = any_of("tenant_id", of)
        persons, person_ids = any_of("person_id", people)
        return ask(
            f"SELECT tenant_id, room_id, person_id, kind, until FROM sanction WHERE {tenants} AND {persons} "
            f"AND ({rooms} OR room_id IS NULL) AND lifted_at IS NULL AND (until IS NULL OR until > %s)",
            [tenant_ids, person_ids, room_ids, stamp(now)],
            "uuust",
        )

    def _ask_shown(self, now: datetime) -> Callable[[], Rows]:
        if not self._wants_recent:
            return list
        rooms, room_ids = any_of("room_id", self._wants_recent)
        return ask(
            f"SELECT room_id, COUNT(*) FROM message WHERE {rooms} AND at > %s AND NOT hidden GROUP BY room_id",
            [room_ids, stamp(now - CEILING_WINDOW)],
            "ui",
        )

    def _ask_recent(self, now: datetime, since: datetime) -> Callable[[], Rows]:
        """How much people have written in the rate's window, and when last, as far as `since` looks back."""
        wanted = [pair for pair in self._standings if pair[0] in self._wants_recent]
        if not wanted:
            return list
        source, ids = id_rows("w", ("room_id", "author_id"), wanted)
        return ask(
            f"SELECT w.room_id, w.author_id, SUM(CASE WHEN m.at > %s THEN 1 ELSE 0 END), MAX(m.at) FROM {source} "
            "JOIN message m ON m.room_id = w.room_id AND m.author_id = w.author_id AND m.at > %s "
            "GROUP BY w.room_id, w.author_id",
            [stamp(now - RATE_WINDOW), *ids, stamp(since)],
            "uuit",
        )

    def _appoint_staff(self, roles: dict[tuple[UUID, UUID], str]) -> None:
        """Staff of the shop are at least hosts in its rooms, whether or not they have joined."""
        if not roles:
            return
        for (room_id, person_id), standing in self._standings.items():
            room = self.rooms.get(room_id)
            role = roles.get((room.tenant_id, person_id)) if room is not None else None
            if role is None:
                continue
            standing.tenant_role = role
            if RANK[role] >= RANK[standing.role]:
                standing.role, standing.member = role, True

    def _impose(self, sanctions: Rows) -> None:
        by_tenant: dict[UUID, list[UUID]] = {}
        for room in self.rooms.values():
            by_tenant.setdefault(room.tenant_id, []).append(room.id)
        for tenant_id, room_id, person_id, kind, until in sanctions:
            for affected in [room_id] if room_id is not None else by_tenant.get(tenant_id, []):
                standing = self._standings.get((affected, person_id))
                if standing is None:
                    continue
                if kind == SanctionKind.BAN:
                    standing.banned = True
                    standing.banned_everywhere = standing.banned_everywhere or room_id is None
                elif kind == SanctionKind.TIMEOUT:
                    standing.muted_until = max(filter(None, [standing.muted_until, until]), default=until)
                elif kind == SanctionKind.HIDE:
                    standing.hidden = True

    # --- asking -------------------------------------------------------------------------------------------------

    def room(self, room_id: UUID) -> RoomState:
        """The room. Raises `stream.unknown` where there is none."""
        room = self.rooms.get(room_id)
        if room is None:
            raise Refused("stream.unknown")
        return room

    def standing(self, room_id: UUID, person_id: UUID) -> Standing:
        return self._standings[room_id, person_id]

    def name_of(self, person_id: UUID) -> str | None:
        """The name a declared person shows, None when there is no such person."""
        return self.names.get(person_id)

    def may(self, room_id: UUID, standing: Standing, permission: str) -> bool:
        """Whether a standing in this room has a permission."""
        sells = self.rooms[room_id].kind == RoomKind.SALE
        return may(standing.role, permission, tenant_role=standing.tenant_role, sells=sells)

    def is_gone(self, person_id: UUID) -> bool:
        """Whether a declared person never was, was erased or may not sign in any more: nothing new is theirs."""
        return person_id in self._gone or person_id not in self.names

    def require(self, room_id: UUID, person_id: UUID, permission: str) -> Standing:
        """The person's standing, if they may do this here. Raises what the person is to be told otherwise."""
        room = self.room(room_id)
        standing = self.standing(room_id, person_id)
        if person_id in self._gone:
            # their sockets hear of it in a moment; what was on its way is not carried out
            raise Refused("auth.failed")
        if standing.banned:
            raise Refused("member.banned")
        # signed in and reading an open room: taking part makes one a member
        visits = standing.role == GUEST and room.open
        if not (may("member", permission) if visits else self.may(room_id, standing, permission)):
            raise Refused("stream.unknown" if standing.role == GUEST and not visits else "permission.denied")
        if room.archived:
            raise Refused("room.archived")
        return standing

    def require_voice(self, room_id: UUID, person_id: UUID) -> Standing:
        """The standing of somebody who may write now: not muted, not too fast, the room not locked."""
        standing = self.require(room_id, person_id, "message.send")
        room, now = self.rooms[room_id], self.batch.now
        if standing.role in STAFF_ROLES:
            return standing
        if room.locked:
            raise Refused("room.locked")
        if standing.muted_until is not None and standing.muted_until > now:
            seconds = int((standing.muted_until - now).total_seconds()) + 1
            raise Refused("member.timed_out", temporary=True, retry_after=float(seconds), seconds=seconds)
        last = standing.last_message_at
        if room.slow_seconds and last is not None:
            left = room.slow_seconds - (now - last).total_seconds()
            if left > 0:
                raise Refused(
                    "message.slow", temporary=True, retry_after=round(left, 1), seconds=int(left) + 1
                )
        if standing.recent >= RATE_LIMIT:
            wait = RATE_WINDOW.total_seconds() / 2
            raise Refused("message.too_fast", temporary=True, retry_after=wait, seconds=int(wait))
        return standing

    # --- changing -----------------------------------------------------------------------------------------------

    def join(self, room_id: UUID, person_id: UUID, role: str = "member") -> bool:
        """Make a person a member; False when they are one already."""
        standing = self.standing(room_id, person_id)
        if standing.member:
            return False
        standing.member = True
        if standing.role == GUEST:
            standing.role = role
        self._joined.append((room_id, person_id, standing.role))
        return True

    def leave(self, room_id: UUID, person_id: UUID) -> None:
        standing = self.standing(room_id, person_id)
        standing.member, standing.role = False, GUEST
        self._joined = [j for j in self._joined if j[:2] != (room_id, person_id)]
        self._left.append((room_id, person_id))

    def appoint(self, room_id: UUID, person_id: UUID, role: str) -> None:
        standing = self.standing(room_id, person_id)
        if not standing.member:
            self.join(room_id, person_id, role)
        standing.role = role
        self._roles.append((room_id, person_id, role))

    def crowded(self, room_id: UUID) -> bool:
        """Whether the room has shown as many messages in the last seconds as people can read."""
        return self._shown.get(room_id, 0) >= CEILING

    def spoke(self, room_id: UUID, person_id: UUID, *, shown: bool) -> None:
        """Count a message of this batch, so that the next one in it is judged with it."""
        standing = self.standing(room_id, person_id)
        if shown:
            self._shown[room_id] = self._shown.get(room_id, 0) + 1
        standing.recent += 1
        standing.last_message_at = self.batch.now

    def configure(self, room_id: UUID, **changes: Any) -> None:
        room = self.room(room_id)
        room.changes.update(changes)
        for name, value in changes.items():
            if name == "archived_at":
                room.archived = value is not None
            elif hasattr(room, name):
                setattr(room, name, value)

    def write(self, now: datetime, insert: Insert) -> None:
        for room_id, person_id in self._left:
            Membership.objects.filter(room_id=room_id, person_id=person_id).delete()
        insert(
            Membership,
            ("id", "tenant_id", "room_id", "person_id", "role", "joined_at"),
            [
                (uuid7(), self.rooms[room_id].tenant_id, room_id, person_id, role, now)
                for room_id, person_id, role in self._joined
            ],
        )
        for room_id, person_id, role in self._roles:
            Membership.objects.filter(room_id=room_id, person_id=person_id).update(role=role)
        for room in self.rooms.values():
            if room.changes:
                Room.objects.filter(id=room.id).update(**room.changes)
