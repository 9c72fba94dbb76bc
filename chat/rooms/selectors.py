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
from chat.rooms.permissions import GUEST, STAFF_ROLES

# (tenants, people) -> {(tenant, person): role}: who works for a tenant. The project supplies it, because chat does
# not know what a tenant is.
TenantRoles = Callable[[Iterable[UUID], Iterable[UUID]], dict[tuple[UUID, UUID], str]]

_tenant_roles: TenantRoles = lambda tenants, people: {}  # noqa: E731 - replaced by use_tenant_roles


def use_tenant_roles(provider: TenantRoles) -> None:
    """Say who works for a tenant and is therefore staff in all its rooms."""
    global _tenant_roles  # noqa: PLW0603 - set once at start-up
    _tenant_roles = provider


def tenant_roles(tenants: Iterable[UUID], people: Iterable[UUID]) -> dict[tuple[UUID, UUID], str]:
    return _tenant_roles(tenants, people)


def roles_in(room_ids: Sequence[UUID], person_id: UUID | None) -> dict[UUID, str]:
    """This person's role in each of these rooms; `guest` where they have none."""
    roles = dict.fromkeys(room_ids, GUEST)
    if person_id is None:
        return roles
    rooms = dict(Room.objects.filter(id__in=room_ids).values_list("id", "tenant_id"))
    for room_id, role in Membership.objects.filter(room_id__in=room_ids, person_id=person_id).values_list(
        "room_id", "role"
    ):
        roles[room_id] = role
    staff = tenant_roles(set(rooms.values()), [person_id])
    for room_id, tenant_id in rooms.items():
        shop_role = staff.get((tenant_id, person_id))
        if shop_role is not None and (roles[room_id] not in STAFF_ROLES or shop_role == "owner"):
            roles[room_id] = shop_role
    return roles


def banned_from(room_ids: Sequence[UUID], person_id: UUID) -> set[UUID]:
    """Which of these rooms the person is banned from, by the room or by its whole shop."""
    rooms = dict(Room.objects.filter(id__in=room_ids).values_list("id", "tenant_id"))
    now = clock.now()
    rows = Sanction.objects.filter(
        Q(room_id__in=room_ids) | Q(room_id__isnull=True),
        Q(until__isnull=True) | Q(until__gt=now),
        tenant_id__in=set(rooms.values()),
        person_id=person_id,
        kind=SanctionKind.BAN,
        lifted_at__isnull=True,
    ).values_list("tenant_id", "room_id")
    banned: set[UUID] = set()
    for tenant_id, room_id in rows:
        banned |= {room_id} if room_id is not None else {r for r, t in rooms.items() if t == tenant_id}
    return banned & set(room_ids)


@access("room")
def room_access(stream_ids: Sequence[UUID], person_id: UUID | None) -> dict[UUID, Access]:
    """Who may read a room: anyone when it is open, else members and staff; nobody who is banned."""
    roles = roles_in(stream_ids, person_id)
    banned = banned_from(stream_ids, person_id) if person_id is not None else set()
    found = {}
    for room_id, is_open in Room.objects.filter(id__in=stream_ids).values_list("id", "open"):
        role = roles[room_id]
        if room_id in banned:
            found[room_id] = Access(read=False, reason="member.banned")
        elif is_open or role != GUEST:
            found[room_id] = Access(read=True, staff=role in STAFF_ROLES)
        else:
            found[room_id] = Access(read=False, reason="stream.unknown")
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
        "archived": room.archived_at is not None,
        "announcement": (
            {"text": room.announcement, "at": int(room.announced_at.timestamp() * 1000)}
            if room.announcement and room.announced_at
            else None
        ),
    }
