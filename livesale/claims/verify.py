"""What was answered checked against what is there: an acknowledged claim has its line or its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Min

from chat.log import clock
from chat.log.models import Event, Receipt, StreamHead
from chat.log.verify import Drift
from chat.messages.models import Message
from commerce.orders.models import Line
from commerce.stock.models import Waiting

SLICE = 1_000


def drifts() -> Iterator[Drift]:
    """Acknowledged claims and messages without their rows; claims told twice or to somebody else."""
    yield from _receipts()
    yield from _events()


def _slices(rows: Iterable[Any]) -> Iterator[list[Any]]:
    found: list[Any] = []
    for row in rows:
        found.append(row)
        if len(found) == SLICE:
            yield found
            found = []
    if found:
        yield found


def _ids(answers: Iterable[dict[str, Any]], key: str) -> set[UUID]:
    return {UUID(a[key]) for a in answers if isinstance(a.get(key), str)}


def _receipts() -> Iterator[Drift]:
    rows = (
        Receipt.objects.order_by("client_id").values_list("client_id", "stream_id", "answer", "at").iterator()
    )
    # old texts go with their events; a receipt may stay longer
    kept_since = _kept_since()
    for part in _slices(rows):
        answers = [
            (client_id, stream, answer.get("claim", answer), at) for client_id, stream, answer, at in part
        ]
        bodies = [answer for _, _, answer, _ in answers]
        lines = set(Line.objects.filter(id__in=_ids(bodies, "line")).values_list("id", flat=True))
        places = set(Waiting.objects.filter(id__in=_ids(bodies, "wait")).values_list("id", flat=True))
        messages = set(Message.objects.filter(id__in=_ids(bodies, "message")).values_list("id", flat=True))
        for client_id, stream_id, answer, at in answers:
            for key, known, what in (
                ("line", lines, "line"),
                ("wait", places, "place"),
                ("message", messages, "message"),
            ):
                value = answer.get(key)
                if key == "message" and stream_id in kept_since and at < kept_since[stream_id]:
                    continue
                if isinstance(value, str) and UUID(value) not in known:
                    yield Drift(f"receipt.{what}_lost", f"receipt {client_id}", f"{what} {value}", "nothing")


def _kept_since() -> dict[UUID, datetime]:
    """Of the streams whose log no longer begins with its beginning: the moment of the oldest event that is left."""
    pruned = list(StreamHead.objects.filter(floor__gt=0).values_list("stream_id", flat=True))
    oldest = Event.objects.filter(stream_id__in=pruned).values("stream_id").annotate(since=Min("at"))
    found = {row["stream_id"]: row["since"] for row in oldest}
    return {stream_id: found.get(stream_id, clock.now()) for stream_id in pruned}


def _events() -> Iterator[Drift]:
    rows = (
        Event.objects.filter(kind="claim.answered")
        .order_by("stream_id", "seq")
        .values_list("stream_id", "seq", "person_id", "body")
        .iterator()
    )
    told: set[str] = set()
    for part in _slices(rows):
        lines = {
            line_id: (buyer_id, qty)
            for line_id, buyer_id, qty in Line.objects.filter(
                id__in=_ids([r[3] for r in part], "line")
            ).values_list("id", "buyer_id", "qty")
        }
        for stream_id, seq, person_id, body in part:
            line = body.get("line")
            if line is None:
                continue
            subject = f"event {stream_id}/{seq}"
            found = lines.get(UUID(line))
            if found != (person_id, body["got"]):
                yield Drift("claim.line", subject, f"{body['got']} units for {person_id}", str(found))
            if line in told:
                yield Drift("claim.told_twice", subject, "one answer per line", line)
            told.add(line)
