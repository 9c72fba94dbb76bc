"""What a client needs of a stream that it joins: the events it missed, or a snapshot; or why it gets nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from chat.log import reading, registry
from chat.log.batch import CommittedEvent
from chat.log.visibility import Viewer, visible
from chat.realtime import protocol
from chat.realtime.frame import Frame
from chat.realtime.gather import Gather
from chat.realtime.identity import Identities, Identity
from chat.realtime.readers import Readers
from chat.realtime.stats import stats


@dataclass(frozen=True, slots=True)
class Question:
    """A stream that somebody wants to follow, how far they have it, and whether as one of its staff, if they say so."""

    stream_id: UUID
    person_id: UUID | None
    after: int | None
    epoch: int | None
    staff: bool | None = None


@dataclass(frozen=True, slots=True)
class Caught:
    """The answer. Without frames: `reason` says why nothing may be read, or the client needs a snapshot."""

    viewer: Viewer
    seq: int = 0
    frames: tuple[Frame, ...] = ()
    reason: str = ""


class Desk:
    """Where sockets ask who they are and what they have missed; those who come together are served together."""

    def __init__(self, readers: Readers, spawn: Callable[[Any], Any], identities: Identities) -> None:
        self._readers = readers
        self._access: Gather[tuple[UUID, UUID | None], registry.Access] = Gather(readers, spawn, _access)
        self._replays: Gather[Question, Caught] = Gather(readers, spawn, _replays)
        self._sessions: Gather[str, Identity | None] = Gather(readers, spawn, identities.from_sessions)
        self._tokens: Gather[str, Identity | None] = Gather(readers, spawn, identities.from_resume_tokens)

    async def from_session(self, session_key: str) -> Identity | None:
        return await self._sessions.ask(session_key)

    async def from_resume_token(self, token: str) -> Identity | None:
        return await self._tokens.ask(token)

    async def may_read(self, stream_id: UUID, person_id: UUID | None) -> registry.Access:
        return await self._access.ask((stream_id, person_id))

    async def catch_up(self, question: Question) -> Caught:
        """Access is judged, and the log read, after this was asked."""
        caught = await self._replays.ask(question)
        if caught.frames or caught.reason:
            stats.joined["replay" if caught.frames else "refused"] += 1
            return caught
        stats.joined["snapshot" if question.after is None else "resync"] += 1
        return await self._readers.run(_resync, question.stream_id, caught.viewer)


def _access(pairs: Sequence[tuple[UUID, UUID | None]]) -> list[registry.Access]:
    found = reading.access_of(pairs)
    return [found[pair] for pair in pairs]


def _replays(questions: Sequence[Question]) -> list[Caught]:
    """For each: the missed events in one frame, or nothing where only a snapshot helps."""
    positions = reading.positions(list({q.stream_id for q in questions}))
    # after the positions: what somebody lost by then, they do not see
    access = reading.access_of([(q.stream_id, q.person_id) for q in questions])
    missed: dict[UUID, list[CommittedEvent]] = {}
    for stream_id, position in positions.items():
        reached = [q.after for q in questions if q.stream_id == stream_id and _replayable(q, position)]
        starts = [after for after in reached if after is not None]
        if starts and min(starts) < position.seq:
            missed[stream_id] = reading.events_after(stream_id, min(starts), position.seq)
    judged = _judged(missed)
    made: dict[tuple[UUID, int, Viewer], tuple[Frame, ...] | None] = {}
    answers = []
    for q in questions:
        verdict = access[q.stream_id, q.person_id]
        viewer = Viewer(q.person_id, verdict.staff)
        at = positions.get(q.stream_id)
        if not verdict.read or at is None:
            answers.append(Caught(viewer, reason=verdict.reason))
            continue
        frames = None
        # another role sees other things, of before as well: what was missed does not tell of them
        stood = q.after is not None and judged.get((q.stream_id, q.person_id), 0) <= q.after
        # the event of it may have come, and its snapshot have been lost with the link
        stood = stood and q.staff in (None, verdict.staff)
        if q.after is not None and stood and _replayable(q, at):
            events = missed.get(q.stream_id, [])
            named = verdict.staff or any(e.person_id == q.person_id for e in events if e.person_id)
            key = (q.stream_id, q.after, viewer if named else Viewer(None))
            if key not in made:
                made[key] = _frames(q.stream_id, q.after, at, key[2], events)
            frames = made[key]
        answers.append(Caught(viewer, at.seq, frames or ()))
    return answers


def _judged(missed: dict[UUID, list[CommittedEvent]]) -> dict[tuple[UUID, UUID | None], int]:
    """Whose standing has changed in what was missed, and with which event last; whether or not they may see it."""
    return {
        (stream_id, e.subject): e.seq
        for stream_id, events in missed.items()
        for e in events
        if e.subject is not None and (spec := registry.EVENTS.get(e.kind)) is not None and spec.changes_access
    }


def _replayable(q: Question, at: reading.Position) -> bool:
    return (
        q.after is not None
        and q.epoch == at.epoch
        and at.floor <= q.after <= at.seq
        and at.seq - q.after <= reading.REPLAY_LIMIT
    )


def _frames(
    stream_id: UUID, after: int, at: reading.Position, viewer: Viewer, events: list[CommittedEvent]
) -> tuple[Frame, ...] | None:
    joined = protocol.encode(protocol.Joined(stream_id, "replay", at.epoch, at.seq))
    if after == at.seq:
        return (joined,)
    own = [e for e in events if e.seq > after]
    if len(own) != at.seq - after:
        # pruned between the two reads
        return None
    seen = [e.wire for e in own if visible(e.audience, e.person_id, viewer)]
    return (joined, protocol.events_frame(stream_id, at.epoch, after + 1, at.seq, seen))


def _resync(stream_id: UUID, viewer: Viewer) -> Caught:
    snapshot = reading.snapshot(stream_id, viewer)
    head = msgspec.json.decode(snapshot, type=_SnapshotHead)
    joined = protocol.Joined(stream_id, "resync", head.epoch, head.seq, msgspec.Raw(snapshot))
    return Caught(viewer, head.seq, (protocol.encode(joined),))


class _SnapshotHead(msgspec.Struct):
    seq: int
    epoch: int
