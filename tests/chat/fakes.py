"""A log without a database and sockets without a network, for what stands between them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

from chat.log import reading
from chat.log.batch import Committed, CommittedEvent
from chat.log.hydration import encode_event
from chat.log.models import Audience
from chat.realtime import hub as hub_module
from chat.realtime.hub import Hub
from chat.realtime.outbox import Backlog, Outbox
from chat.realtime.watch import Follower
from chat.realtime.writers import AsgiWriter

PERSON = UUID(int=5)


class FakeLog:
    """The log behind the readers, without a database: public events, every fifth for one person."""

    def __init__(self) -> None:
        self.stream = uuid4()
        self.seq = self.floor = 0
        self.epoch = 1
        self.reads = 0
        self.fails = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def event(self, seq: int) -> CommittedEvent:
        private = seq % 5 == 0
        return CommittedEvent(
            seq,
            "fake",
            Audience.PERSON if private else Audience.PUBLIC,
            PERSON if private else None,
            encode_event(seq, "fake", 0, {"n": seq}),
        )

    def commit(self, count: int = 1) -> Committed:
        first, self.seq = self.seq + 1, self.seq + count
        events = tuple(self.event(n) for n in range(first, self.seq + 1))
        return Committed(self.stream, self.epoch, first, self.seq, events)

    async def run(self, function, *args):
        """As `Readers.run`."""
        self.reads += 1
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the database is away")
        if function is reading.positions:
            return {self.stream: reading.Position("room", None, self.seq, self.floor, self.epoch)}
        if function is reading.events_after:
            _, after, upto = args
            await asyncio.sleep(0)
            return [self.event(n) for n in range(max(after, self.floor) + 1, upto + 1)][:500]
        if function is hub_module.heads_and_values:
            return await self.run(reading.positions), {}
        raise AssertionError(function)


def outbox_to(send: Any) -> Outbox:
    outbox = Outbox(Backlog(), lambda: None)
    outbox.open(AsgiWriter(send, outbox.drain))
    return outbox


class FakeSocket:
    def __init__(self, person_id: UUID | None = None) -> None:
        self.person_id = person_id
        self.sent: list[dict] = []
        self.rejoined = 0
        self.outbox = outbox_to(self._take)

    async def _take(self, message: dict) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(json.loads(message["text"]))

    def rejoin(self, stream_id: UUID) -> None:
        self.rejoined += 1

    def put_out(self, stream_id: UUID, code: str) -> None:
        raise AssertionError("nobody is put out here")

    async def end(self) -> None:
        self.outbox.end()
        await asyncio.sleep(0)

    @property
    def seqs(self) -> list[int]:
        return [e["seq"] for f in self.sent if f["type"] == "events" for e in f["events"]]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [(f["first"], f["last"]) for f in self.sent if f["type"] == "events"]


async def follow(hub: Hub, socket: Any, stream_id: UUID) -> Follower:
    """As a socket does: begin, and wait until the stream is watched."""
    follower = hub.begin(socket, stream_id)
    await hub.opened(follower)
    return follower


async def until(true) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - any of many things
            await asyncio.sleep(0)
