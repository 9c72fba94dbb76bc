"""A stream that somebody on this process follows, and the place of each who does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chat.log.batch import Committed, CommittedEvent
from chat.log.visibility import Viewer, visible
from chat.realtime import protocol
from chat.realtime.fanout import FanOut
from chat.realtime.frame import Frame
from chat.realtime.limits import SIGNAL_TICK, TICK_EACH
from chat.realtime.outbox import send_to_all

if TYPE_CHECKING:
    from chat.realtime.consumer import Socket


@dataclass(slots=True, frozen=True)
class Chunk:
    """A range of a stream's log that leaves in one go."""

    stream_id: UUID
    epoch: int
    first: int
    last: int
    events: list[CommittedEvent]

    def frame(self, viewer: Viewer, after: int = 0) -> Frame:
        """The part of it beyond `after` that this viewer may see, as a frame."""
        seen = [e.wire for e in self.events if e.seq > after and visible(e.audience, e.person_id, viewer)]
        return protocol.events_frame(self.stream_id, self.epoch, max(self.first, after + 1), self.last, seen)


class Follower:
    """One socket's place in one stream.

    While `held` is a list, what is committed waits in it until replay or snapshot are queued. `seq` is the last
    number that has been queued: nothing is sent twice, whichever of log and doorbell was faster.
    """

    __slots__ = ("gone", "held", "outbox", "ready", "seq", "socket", "viewer", "watch")

    def __init__(self, socket: Socket, watch: Watch) -> None:
        self.socket = socket
        self.outbox = socket.outbox
        self.watch = watch
        self.viewer = Viewer(None)
        self.seq = 0
        self.held: list[Chunk] | None = []
        self.gone = False
        # neither held nor gone
        self.ready = False

    def leave(self) -> None:
        """Take nothing more."""
        self.gone, self.ready = True, False

    def deliver(self, chunk: Chunk, frame: Frame) -> None:
        """Send what is new in the chunk, or hold it. What goes wrong costs this socket only."""
        if self.gone:
            return
        if self.held is not None:
            self.held.append(chunk)
        elif chunk.last > self.seq:
            try:
                if chunk.first <= self.seq:
                    frame = chunk.frame(self.viewer, self.seq)
                self.seq = chunk.last
                self.outbox.put(frame)
            except Exception:
                self.outbox.break_off()

    def release(self, seq: int, viewer: Viewer) -> None:
        """What the client needed up to `seq` has been queued: what waited and goes beyond it follows."""
        held, self.held = self.held or [], None
        self.ready = not self.gone
        self.seq, self.viewer = seq, viewer
        for chunk in held:
            if chunk.last > self.seq:
                self.outbox.put(chunk.frame(viewer, self.seq))
                self.seq = chunk.last


def deliver_to_all(followers: Sequence[Follower], chunk: Chunk, frame: Frame) -> None:
    """The same frame for all of them: `Follower.deliver`, without a call for each where nothing is in the way."""
    first, last = chunk.first, chunk.last
    in_step = [f for f in followers if f.ready and f.seq < first]
    for follower in in_step:
        follower.seq = last
    send_to_all([f.outbox for f in in_step], frame, lambda outbox: outbox.put(frame))
    if len(in_step) < len(followers):
        # those who have just got it are past it
        for follower in followers:
            follower.deliver(chunk, frame)


@dataclass(eq=False, slots=True)
class Watch:
    """One followed stream: where its log stands here, what waits to leave, and its latest values."""

    stream_id: UUID
    followers: dict[Socket, Follower] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False

    # the log lane; `position` is -1 until the head has been read once
    position: int = -1
    epoch: int = 0
    early: list[Committed] = field(default_factory=list)
    pending: list[CommittedEvent] = field(default_factory=list)
    pending_first: int = 0
    filling: bool = False
    log_fanout: FanOut[Follower] = field(default_factory=lambda: FanOut(TICK_EACH))

    # the signal lane
    values: dict[str, tuple[int, Any]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    passing: set[str] = field(default_factory=set)
    signal_fanout: FanOut[Follower] = field(default_factory=lambda: FanOut(SIGNAL_TICK))

    # viewers: those of other processes, with the moment they were last heard of
    remote_viewers: dict[str, tuple[int, float]] = field(default_factory=dict)
    announced_viewers: int = -1
    viewers_version: int = 0
    viewers_at: float = float("-inf")
    viewers_planned: bool = False
