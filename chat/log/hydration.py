"""Events as readers get them, live and in replay: the stored body refilled from today's rows, and encoded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chat.log.batch import encode
from chat.log.registry import EVENTS


def hydrate(rows: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Bodies as today's readers see them: (kind, stored body) in, wire bodies out, in the same order."""
    bodies: list[dict[str, Any]] = [body for _, body in rows]
    by_kind: dict[str, list[int]] = {}
    for i, (kind, _) in enumerate(rows):
        spec = EVENTS.get(kind)
        if spec is not None and spec.hydrate is not None:
            by_kind.setdefault(kind, []).append(i)
    for kind, places in by_kind.items():
        refill = EVENTS[kind].hydrate
        assert refill is not None
        for place, body in zip(places, refill([bodies[i] for i in places]), strict=True):
            bodies[place] = body
    return bodies


def encode_event(seq: int, kind: str, at_ms: int, body: dict[str, Any] | bytes) -> bytes:
    """An event as every reader gets it, live and in replay. `body` may be encoded already."""
    text = body if isinstance(body, bytes) else encode(body)
    # a kind is a name of ours: it needs no quoting
    return b'{"seq":%d,"kind":"%b","at":%d,"body":%b}' % (seq, kind.encode(), at_ms, text)


def at_ms(moment: datetime) -> int:
    """Unix time in milliseconds: how the wire writes moments."""
    return int(moment.timestamp() * 1000)
