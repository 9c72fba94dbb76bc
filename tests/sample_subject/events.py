from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from chat.log.models import Event
from chat.log.registry import event, snapshot_part


class Counted(msgspec.Struct):
    """Somebody has counted on."""

    person: UUID
    by: int
    total: int


COUNTED = event("sample.counted", Counted)


def tally(stream_id: UUID) -> dict[str, Any]:
    bodies = Event.objects.filter(stream_id=stream_id, kind=COUNTED).values_list("body", flat=True)
    counts = [body["by"] for body in bodies]
    return {"total": sum(counts), "times": len(counts)}


snapshot_part("room", "tally", public=tally)
