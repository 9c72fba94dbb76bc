"""What the room hears of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from chat.log.registry import event, snapshot_part
from chat.messages.models import Message
from chat.messages.selectors import latest_messages, pins, reports_for


class MessageBody(msgspec.Struct):
    """A message as readers get it. A deleted one keeps its place and loses its text.

    `thinned`: the room was too busy to show it; its author and the staff see it. The latest value `thinned` tells the
    others since when.
    """

    message: UUID
    person: UUID
    name: str
    role: str
    text: str
    reply_to: UUID | None
    at: int
    deleted: bool = False
    thinned: bool = False


class MessageNamed(msgspec.Struct):
    """A message that was deleted or unpinned, or whose reports were settled."""

    message: UUID


class MessagePinned(msgspec.Struct):
    """A message stays in sight."""

    message: UUID
    text: str
    name: str


class MessageReported(msgspec.Struct):
    """To the staff: somebody reported a message."""

    message: UUID
    person: UUID
    reports: int


def _hydrate_sent(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {
        str(row["id"]): row
        for row in Message.objects.filter(id__in=[b["message"] for b in bodies]).values(
            "id", "text", "deleted_at", "author__name"
        )
    }
    hydrated = []
    for body in bodies:
        row = rows.get(body["message"])
        if row is None or row["deleted_at"] is not None:
            name = row["author__name"] if row is not None else ""
            hydrated.append({**body, "name": name, "text": "", "deleted": True})
        else:
            hydrated.append({**body, "name": row["author__name"], "text": row["text"]})
    return hydrated


def _hydrate_pinned(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"message": b["message"], "text": b["text"], "name": b["name"]}
        for b in _hydrate_sent([dict(b) for b in bodies])
    ]


MESSAGE_SENT = event("message.sent", MessageBody, hydrate=_hydrate_sent)
MESSAGE_DELETED = event("message.deleted", MessageNamed)
MESSAGE_PINNED = event("message.pinned", MessagePinned, hydrate=_hydrate_pinned)
MESSAGE_UNPINNED = event("message.unpinned", MessageNamed)
MESSAGE_REPORTED = event("message.reported", MessageReported)
REPORTS_SETTLED = event("reports.settled", MessageNamed)

snapshot_part("room", "messages", personal=latest_messages)
snapshot_part("room", "pins", public=pins)
snapshot_part("room", "reports", personal=reports_for)
