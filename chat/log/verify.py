"""The log checked against itself: sequences without gaps, receipts that point somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Max, Min

from chat.log.models import Event, Receipt, Stream, StreamHead


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that is not as the ledgers say. `kind` is dotted, `subject` names the row."""

    kind: str
    subject: str
    expected: str
    found: str


def drifts() -> Iterator[Drift]:
    """Every drift of the log."""
    yield from _sequences()
    yield from _receipts()


def _sequences() -> Iterator[Drift]:
    counted = {
        row["stream_id"]: row
        for row in Event.objects.values("stream_id")
        .annotate(n=Count("seq"), low=Min("seq"), high=Max("seq"))
        .order_by()
    }
    for head in StreamHead.objects.order_by("stream_id").iterator():
        row = counted.pop(head.stream_id, {"n": 0, "low": None, "high": None})
        subject = f"stream {head.stream_id}"
        expected = head.seq - head.floor
        if row["n"] != expected:
            yield Drift("log.count", subject, f"{expected} events", f"{row['n']} events")
        elif expected and (row["low"], row["high"]) != (head.floor + 1, head.seq):
            yield Drift(
                "log.sequence", subject, f"{head.floor + 1} to {head.seq}", f"{row['low']} to {row['high']}"
            )
    for stream_id, row in counted.items():
        yield Drift("log.orphan", f"stream {stream_id}", "a head", f"{row['n']} events without one")


def _receipts() -> Iterator[Drift]:
    known = Stream.objects.values("id")
    for receipt in Receipt.objects.exclude(stream_id__in=known).order_by("client_id").iterator():
        yield Drift("receipt.orphan", f"receipt {receipt.client_id}", "a stream", str(receipt.stream_id))
