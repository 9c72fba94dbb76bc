"""Reading the log: replay after a position, history pages, snapshots, heads. Readers hold no long transactions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from chat.log import clock, registry
from chat.log.batch import CommittedEvent, encode
from chat.log.hydration import at_ms, encode_event, hydrate
from chat.log.models import Event, Receipt, Stream, StreamHead
from chat.log.visibility import Viewer, visible, visible_q

# A client that missed more events than this gets a snapshot instead.
REPLAY_LIMIT = 500
# Streams whose newest public snapshot is kept, per process.
SNAPSHOT_CACHE = 256


@contextmanager
def consistent() -> Iterator[None]:
    """One state of the database for several reads, without taking the writer's lock."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        # Django would begin IMMEDIATE, which waits for writers; a deferred transaction reads beside them
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stream's log stands."""

    kind: str
    tenant_id: UUID | None
    seq: int
    floor: int
    epoch: int


def positions(stream_ids: Sequence[UUID]) -> dict[UUID, Position]:
    """Kind and head of each of these streams that exists."""
    rows = StreamHead.objects.filter(stream_id__in=stream_ids).values_list(
        "stream_id", "stream__kind", "stream__tenant_id", "seq", "floor", "epoch"
    )
    return {row[0]: Position(*row[1:]) for row in rows}


def access(stream_ids: Sequence[UUID], person_id: UUID | None) -> dict[UUID, registry.Access]:
    """What this person may read, for every id asked about: an unknown stream looks like a forbidden one."""
    return {s: found for (s, _), found in access_of([(s, person_id) for s in stream_ids]).items()}


def access_of(
    pairs: Iterable[tuple[UUID, UUID | None]],
) -> dict[tuple[UUID, UUID | None], registry.Access]:
    """The same for many (stream, person) at once, in as many queries as for one."""
    asked = set(pairs)
    kinds = dict(Stream.objects.filter(id__in={s for s, _ in asked}).values_list("id", "kind"))
    nothing = registry.Access(read=False)
    found = dict.fromkeys(asked, nothing)
    for kind in set(kinds.values()):
        provider = registry.ACCESS.get(kind)
        if provider is not None:
            found.update(provider([pair for pair in asked if kinds.get(pair[0]) == kind]))
    return found


def events_after(stream_id: UUID, after: int, upto: int, limit: int = REPLAY_LIMIT) -> list[CommittedEvent]:
    """Every event of `after < seq <= upto`, whoever may see it, encoded: what a hub fills a hole with."""
    rows = list(
        Event.objects.filter(stream_id=stream_id, seq__gt=after, seq__lte=upto)
        .order_by("seq")
        .values_list("seq", "kind", "audience", "person_id", "body", "at")[:limit]
    )
    bodies = hydrate([(row[1], row[4]) for row in rows])
    return [
        CommittedEvent(
            seq,
            kind,
            audience,
            person_id,
            encode_event(seq, kind, at_ms(at), body),
            UUID(stored["person"]) if stored.get("person") else None,
        )
        for (seq, kind, audience, person_id, stored, at), body in zip(rows, bodies, strict=True)
    ]


def replay(stream_id: UUID, viewer: Viewer, after: int, upto: int) -> list[bytes]:
    """The encoded events of `after < seq <= upto` that this viewer may see."""
    return [
        e.wire
        for e in events_after(stream_id, after, upto, limit=upto - after)
        if visible(e.audience, e.person_id, viewer)
    ]


def history(stream_id: UUID, viewer: Viewer, before: int, kinds: Sequence[str], limit: int) -> list[bytes]:
    """The newest `limit` visible events of these kinds below `before`, oldest first."""
    rows = list(
        Event.objects.filter(visible_q(viewer), stream_id=stream_id, seq__lt=before, kind__in=kinds)
        .order_by("-seq")
        .values_list("seq", "kind", "body", "at")[:limit]
    )[::-1]
    bodies = hydrate([(row[1], row[2]) for row in rows])
    return [
        encode_event(seq, kind, at_ms(at), body)
        for (seq, kind, _, at), body in zip(rows, bodies, strict=True)
    ]


class _SnapshotCache:
    """The public part of each stream's newest snapshot, encoded. Thread-safe; forgets whose was made longest ago.

    One per stream: nobody asks for an older one any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: OrderedDict[UUID, tuple[tuple[int, int], msgspec.Raw]] = OrderedDict()

    def get(self, stream_id: UUID, head: tuple[int, int]) -> msgspec.Raw | None:
        """What was kept for exactly this (epoch, seq)."""
        with self._lock:
            found = self._newest.get(stream_id)
        return found[1] if found is not None and found[0] == head else None

    def put(self, stream_id: UUID, head: tuple[int, int], public: msgspec.Raw) -> None:
        with self._lock:
            found = self._newest.get(stream_id)
            if found is not None and found[0] > head:
                # a reader that was slower than another one
                return
            self._newest[stream_id] = (head, public)
            self._newest.move_to_end(stream_id)
            while len(self._newest) > SNAPSHOT_CACHE:
                self._newest.popitem(last=False)


_cache = _SnapshotCache()


def snapshot(stream_id: UUID, viewer: Viewer) -> bytes:
    """One state of a stream for one viewer, with the head it belongs to: `snapshot + later events = fresh snapshot`."""
    with consistent():
        position = positions([stream_id])[stream_id]
        parts = registry.SNAPSHOTS.get(position.kind, [])
        head = (position.epoch, position.seq)
        public = _cache.get(stream_id, head)
        if public is None:
            made = {p.name: p.public(stream_id) for p in parts if p.public is not None}
            public = msgspec.Raw(encode(made))
            if not connection.in_atomic_block or connection.vendor == "postgresql":
                _cache.put(stream_id, head, public)
        personal = {p.name: p.personal(stream_id, viewer) for p in parts if p.personal is not None}
        latest = latest_values([stream_id]).get(stream_id, {})
        moment = clock.now()
    return encode(
        {
            "stream": stream_id,
            "kind": position.kind,
            "epoch": position.epoch,
            "seq": position.seq,
            "time": at_ms(moment),
            "public": public,
            "personal": personal,
            "latest": latest,
        }
    )


def latest_values(stream_ids: Sequence[UUID]) -> dict[UUID, dict[str, tuple[int, Any]]]:
    """The latest values of these streams from every provider: {stream: {key: (version, value)}}."""
    found: dict[UUID, dict[str, tuple[int, Any]]] = {}
    for provider in registry.LATEST:
        for stream_id, values in provider(stream_ids).items():
            found.setdefault(stream_id, {}).update(values)
    return found


def receipts(actor_id: UUID, client_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The stored answers of this person's command ids; an id without one was never carried out."""
    return dict(
        Receipt.objects.filter(actor_id=actor_id, client_id__in=client_ids).values_list("client_id", "answer")
    )
