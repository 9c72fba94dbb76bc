"""Reads about sanctions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from chat.log import clock
from chat.log.visibility import Viewer
from chat.moderation.models import Sanction, SanctionKind


def muted_until(room_id: UUID, person_id: UUID) -> int | None:
    """When this person may write again (Unix ms), None when they may now."""
    now = clock.now()
    until = Sanction.objects.filter(
        Q(room_id=room_id) | Q(room_id__isnull=True),
        tenant_id__in=_tenant_of(room_id),
        person_id=person_id,
        kind=SanctionKind.TIMEOUT,
        until__gt=now,
        lifted_at__isnull=True,
    ).aggregate(until=Max("until"))["until"]
    return int(until.timestamp() * 1000) if until is not None else None


def banned_everywhere(*, tenant_id: UUID, person_id: UUID) -> bool:
    """Whether this person is put out of all the tenant's rooms."""
    return Sanction.objects.filter(
        Q(until__isnull=True) | Q(until__gt=clock.now()),
        tenant_id=tenant_id,
        room_id__isnull=True,
        person_id=person_id,
        kind=SanctionKind.BAN,
        lifted_at__isnull=True,
    ).exists()


def _tenant_of(room_id: UUID) -> Any:
    from chat.rooms.models import Room

    return Room.objects.filter(id=room_id).values("tenant_id")


def sanctions_for(room_id: UUID, viewer: Viewer) -> list[dict[str, Any]]:
    """For staff: what is in force in this room, the newest first."""
    if not viewer.staff:
        return []
    rows = Sanction.objects.filter(
        Q(room_id=room_id) | Q(room_id__isnull=True, tenant_id__in=_tenant_of(room_id)),
        Q(until__isnull=True) | Q(until__gt=clock.now()),
        lifted_at__isnull=True,
    ).order_by("-at", "-id")
    found: dict[tuple[UUID, str, bool], dict[str, Any]] = {}
    for person_id, name, kind, until, in_room in rows.values_list(
        "person_id", "person__name", "kind", "until", "room_id"
    ):
        # the latest of its kind is the one that counts
        found.setdefault(
            (person_id, kind, in_room is None),
            {
                "person": person_id,
                "name": name,
                "kind": kind,
                "until": int(until.timestamp() * 1000) if until else None,
                "everywhere": in_room is None,
            },
        )
    return list(found.values())
