"""Reads about rooms. Every one demands the room or the tenant it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q

from chat.log import clock
from chat.log.registry import Access, access
from chat.moderation.models import Sanction, SanctionKind
from chat.rooms.models import Membership, Room
from chat.rooms.permissions import GUEST, RANK, STAFF_ROLES

Roles = dict[tuple[UUID, UUID], str]
# (tenants, people) begins to ask who works for a tenant; what it returns waits for {(tenant, person): role}. The
# project supplies it, because chat does not know what a tenant is.
TenantRoles = Callable[[Iterable[UUID], Iterable[UUID]], Callable[[], Roles]]

_tenant_roles: TenantRoles = lambda tenants, people: dict  # noqa: E731 - replaced by use_tenant_roles


def use_tenant_roles(provider: TenantRoles) -> None:
    """Say who works for a tenant and is therefore staff in all its rooms."""
    global _tenant_roles  # noqa: PLW0603 - set once at start-up
    _tenant_roles = provider


def ask_tenant_roles(tenants: Iterable[UUID], people: Iterable[UUID]) -> Callable[[], Roles]:
    return _tenant_roles(tenants, people)


def roles_in(room_ids: Sequence[UUID], person_id: UUID | None) -> dict[UUID, str]:
    """This person's role in each of these rooms; `guest` where they have none."""
    rooms = dict(Room.objects.filter(id__in=room_ids).values_list("id", "tenant_id"))
    return {room: role for (room, _), role in _roles([(r, person_id) for r in room_ids], rooms).items()}


def _roles(
    pairs: Sequence[tuple[UUID, UUID | None]], tenants: dict[UUID, UUID]
) -> dict[tuple[UUID, UUID | None], str]:
    roles = dict.fromkeys(pairs, GUEST)
    people = {person for _, person in pairs if person is not None}
    if not people:
        return roles
    members = Membership.objects.filter(room_id__in=tenants, person_id__in=people)
    for room_id, person_id, role in members.values_list("room_id", "person_id", "role"):
        if (room_id, person_id) in roles:
            roles[room_id, person_id] = role
    staff = ask_tenant_roles(set(tenants.values()), people)()
    for room_id, person in pairs:
        if person is not None and room_id in tenants:
            shop_role = staff.get((tenants[room_id], person))
            if shop_role is not None and RANK[shop_role] > RANK[roles[room_id, person]]:
                roles[room_id, person] = shop_role
    return roles


def _banned(
    pairs: Sequence[tuple[UUID, UUID | None]], tenants: dict[UUID, UUID]
) -> set[tuple[UUID, UUID | None]]:
    """Which of these people are banned from which room, by the room or by its whole shop."""
    people = {person for _, person in pairs if person is not None}
    if not people:
        return set()
    now = clock.now()
    rows = set(
        Sanction.objects.filter(
            Q(room_id__in=tenants) | Q(room_id__isnull=True),
            Q(until__isnull=True) | Q(until__gt=now),
            tenant_id__in=set(tenants.values()),
            person_id__in=people,
            kind=SanctionKind.BAN,
            lifted_at__isnull=True,
        ).values_list("tenant_id", "room_id", "person_id")
    )
    return {
        (room, person)
        for room, person in pairs
        if room in tenants
        and ((tenants[room], room, person) in rows or (tenants[room], None, person) in rows)
    }


@access("room")
def room_access(pairs: Sequence[tuple[UUID, UUID | None]]) -> dict[tuple[UUID, UUID | None], Access]:
    """Who may read a room: anyone when it is open, else members and staff; nobody who is banned."""
    rooms = Room.objects.filter(id__in={room for room, _ in pairs}).values_list("id", "tenant_id", "open")
    tenants = {room: tenant for room, tenant, _ in rooms}
    open_ = {room for room, _, is_open in rooms if is_open}
    roles = _roles(pairs, tenants)
    banned = _banned(pairs, tenants)
    found = {}
    for pair in pairs:
        if pair[0] not in tenants:
            continue
        if pair in banned:
            found[pair] = Access(read=False, reason="member.banned")
        elif pair[0] in open_ or roles[pair] != GUEST:
            found[pair] = Access(read=True, staff=roles[pair] in STAFF_ROLES)
        else:
            found[pair] = Access(read=False, reason="stream.unknown")
    return found


def room_card(room: Room) -> dict[str, Any]:
    """What the room tells everyone who may read it."""
    return {
        "id": str(room.id),
        "shop": str(room.tenant_id),
        "kind": room.kind,
        "name": room.name,
        "description": room.description,
        "open": room.open,
        "locked": room.locked,
        "slow_seconds": room.slow_seconds,
        "repeat_seconds": room.repeat_seconds,
        "links": room.links,
        "archived": room.archived_at is not None,
        "announcement": (
            {"text": room.announcement, "at": int(room.announced_at.timestamp() * 1000)}
            if room.announcement and room.announced_at
            else None
        ),
    }
