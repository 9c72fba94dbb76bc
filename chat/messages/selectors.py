"""Reads about messages, for the snapshot."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from chat.log import reading
from chat.log.models import Event
from chat.log.visibility import Viewer, visible_q
from chat.messages.models import MessageReport, Pin

SNAPSHOT_MESSAGES = 50


def latest_messages(room_id: UUID, viewer: Viewer) -> list[dict[str, Any]]:
    """The last messages that this viewer may see, oldest first, as their events tell them."""
    rows = list(
        Event.objects.filter(visible_q(viewer), stream_id=room_id, kind="message.sent")
        .order_by("-seq")
        .values_list("kind", "body")[:SNAPSHOT_MESSAGES]
    )[::-1]
    return reading.hydrate(rows)


def pins(room_id: UUID) -> list[dict[str, Any]]:
    """Pinned messages, the latest first."""
    rows = Pin.objects.filter(room_id=room_id).order_by("-at", "-id")
    return [
        {"message": message_id, "text": text, "name": name}
        for message_id, text, name in rows.values_list("message_id", "message__text", "message__author__name")
    ]


def reports_for(room_id: UUID, viewer: Viewer) -> list[dict[str, Any]]:
    """For staff: unsettled reports by message."""
    if not viewer.staff:
        return []
    found: dict[UUID, dict[str, Any]] = {}
    rows = MessageReport.objects.filter(
        room_id=room_id, settled_at__isnull=True, message__deleted_at__isnull=True
    )
    for message_id, person_id in rows.order_by("at", "id").values_list("message_id", "message__author_id"):
        entry = found.setdefault(message_id, {"message": message_id, "person": person_id, "reports": 0})
        entry["reports"] += 1
    return list(found.values())
