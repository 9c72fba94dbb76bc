"""The streams that one socket follows: joining from where the client has them, leaving, being put out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import Error

from chat.log.errors import Refused
from chat.realtime import limits, protocol, signal_lane
from chat.realtime.answers import sentence
from chat.realtime.hub import Hub
from chat.realtime.joining import Desk, Question

if TYPE_CHECKING:
    from chat.realtime.consumer import Socket

logger = logging.getLogger(__name__)


class Places:
    """Where a socket is. Joining, leaving and joining anew take turns: the hub may ask for the last at any time."""

    __slots__ = ("_desk", "_hub", "_rejoining", "_socket", "_streams", "_turn")

    def __init__(self, socket: Socket, hub: Hub, desk: Desk) -> None:
        self._socket: Socket | None = socket
        self._hub = hub
        self._desk = desk
        self._streams: set[UUID] = set()
        self._rejoining: set[UUID] = set()
        self._turn = asyncio.Lock()

    def __contains__(self, stream_id: UUID) -> bool:
        return stream_id in self._streams

    async def join(self, wanted: Iterable[protocol.StreamPosition]) -> None:
        """Follow these streams from where the client has them. Raises `Refused` when they are too many."""
        async with self._turn:
            await self._join({w.stream: w for w in wanted})

    async def leave(self, stream_ids: Iterable[UUID]) -> None:
        async with self._turn:
            for stream_id in stream_ids:
                self._leave(stream_id)

    def put_out(self, stream_id: UUID, reason: str) -> None:
        """The person may not read that stream any more."""
        if stream_id in self._streams:
            self._leave(stream_id)
            self._say_left(stream_id, reason)

    def join_anew(self, stream_id: UUID) -> None:
        """Have a fresh snapshot of a stream sent, soon."""
        if stream_id in self._streams and stream_id not in self._rejoining:
            self._rejoining.add(stream_id)
            self._hub.spawn(self._join_anew(stream_id))

    def join_all_anew(self) -> None:
        for stream_id in list(self._streams):
            self.join_anew(stream_id)

    def end(self) -> None:
        """The socket is gone. It knows us: without its name here it is freed at once."""
        for stream_id in list(self._streams):
            self._leave(stream_id)
        self._socket = None

    async def _join_anew(self, stream_id: UUID) -> None:
        async with self._turn:
            self._rejoining.discard(stream_id)
            if stream_id in self._streams:
                await self._join({stream_id: protocol.StreamPosition(stream_id)})

    async def _join(self, wanted: dict[UUID, protocol.StreamPosition]) -> None:
        socket = self._socket
        if socket is None:
            return
        if len(self._streams | wanted.keys()) > limits.STREAMS:
            raise Refused("stream.too_many")
        try:
            # who may not read a stream must not make this process follow it
            for stream_id in [s for s in wanted if not self._hub.watches(s)]:
                verdict = await self._desk.may_read(stream_id, socket.person_id)
                if not verdict.read:
                    del wanted[stream_id]
                    self._say_left(stream_id, verdict.reason)
            await self._follow(list(wanted.values()))
        except Exception as error:
            # a place that was begun and never released would be deaf: the client begins anew
            if not isinstance(error, Error | Refused):
                logger.exception("streams could not be joined")
            else:
                logger.warning("streams could not be joined: %s", type(error).__name__)
            socket.come_back()

    async def _follow(self, wanted: list[protocol.StreamPosition]) -> None:
        socket = self._socket
        if socket is None or not wanted:
            return
        person_id, outbox = socket.person_id, socket.outbox
        # begun before anything is waited for: whoever leaves, or is put out, meanwhile finds these places
        self._streams.update(w.stream for w in wanted)
        followers = [self._hub.begin(socket, w.stream) for w in wanted]
        await asyncio.gather(*(self._hub.opened(follower) for follower in followers))
        # judged after following: a ban that came in between is seen here, a later one finds the follower
        questions = [Question(w.stream, person_id, w.after, w.epoch, w.staff) for w in wanted]
        answers = await asyncio.gather(*(self._desk.catch_up(question) for question in questions))
        for follower, caught in zip(followers, answers, strict=True):
            await outbox.room()
            stream_id = follower.watch.stream_id
            if not self._hub.follows(follower) or stream_id in self._rejoining:
                # left, or was put out, meanwhile; or is another by now, for whom a better answer is on its way
                continue
            if caught.reason:
                self.put_out(stream_id, caught.reason)
                continue
            for frame in caught.frames:
                outbox.put(frame)
            follower.release(caught.seq, caught.viewer)
            signal_lane.welcome(follower)

    def _leave(self, stream_id: UUID) -> None:
        if self._socket is not None and stream_id in self._streams:
            self._streams.discard(stream_id)
            self._hub.unfollow(self._socket, stream_id)
            self._socket.outbox.drop_values(stream_id)

    def _say_left(self, stream_id: UUID, code: str) -> None:
        if self._socket is not None:
            said = sentence(code, {}, self._socket.language)
            self._socket.outbox.put(protocol.encode(protocol.Left(stream_id, code, said)))
