"""Joining while other things happen: leaving, bans, demotions, errors, the end of the process."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from channels.layers import InMemoryChannelLayer

from chat.log import registry
from chat.log.visibility import Viewer
from chat.realtime import fanout
from chat.realtime.consumer import Socket
from chat.realtime.frame import Frame
from chat.realtime.gather import Gather
from chat.realtime.hub import Hub
from chat.realtime.joining import Caught, Question
from chat.realtime.layer import Layer
from tests.chat.fakes import PERSON, FakeLog, FakeSocket, follow

registry.load()


class FakeDesk:
    """Answers every question when its gate is open, as of the moment when it was asked."""

    def __init__(self) -> None:
        self.staff = False
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def may_read(self, stream_id: UUID, person_id: UUID | None) -> registry.Access:
        return registry.Access(read=True)

    async def catch_up(self, question: Question) -> Caught:
        staff = self.staff
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        joined = Frame(b'{"type":"joined","staff":%d}' % staff)
        return Caught(Viewer(question.person_id, staff), 0, (joined,))


class Visit:
    """One socket that has joined one stream, with a hub and nothing else."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.log.commit()
        self.hub = Hub(Layer(InMemoryChannelLayer()), self.log)  # type: ignore[arg-type]
        self.desk = FakeDesk()
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.server = SimpleNamespace(
            hub=self.hub,
            desk=self.desk,
            sockets=set(),
            plain_asgi=True,
            draining=False,
            features=[],
            guard=None,
            session_cookie="sessionid",
        )
        self.socket = Socket(self.server, {"headers": []}, self.incoming.get, self._take)  # type: ignore[arg-type]
        self.running = asyncio.ensure_future(self.socket.run())

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(json.loads(message["text"]))

    async def join(self) -> Visit:
        self.incoming.put_nowait({"type": "websocket.connect"})
        wish = {"type": "join", "streams": [{"stream": str(self.log.stream)}]}
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(wish)})
        await settled()
        return self

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.sent if frame["type"] == kind]

    async def end(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect"})
        await self.running
        await settled()


async def settled() -> None:
    """Let everything happen that waits for nothing but its turn."""
    for _ in range(60):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)  # a tick


@pytest.mark.parametrize("turns", range(8))
async def test_who_leaves_while_joining_anew_leaves_nothing_behind(turns: int):
    visit = await Visit().join()
    assert visit.of("joined")
    visit.socket.rejoin(visit.log.stream)
    for _ in range(turns):
        await asyncio.sleep(0)
    await visit.end()
    assert visit.hub._watches == {}


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_put_out_while_joining_anew_stays_out(turns: int):
    visit = await Visit().join()
    visit.socket.rejoin(visit.log.stream)
    for _ in range(turns):
        await asyncio.sleep(0)
    visit.socket.put_out(visit.log.stream, "member.banned")
    await settled()
    assert visit.of("left")
    heard = len(visit.sent)
    visit.hub.deliver(visit.log.commit())
    await settled()
    assert visit.sent[heard:] == []
    await visit.end()


async def test_a_demotion_while_a_snapshot_is_made_sends_only_the_new_one():
    visit = Visit()
    visit.desk.staff = True
    visit.desk.gate.clear()
    await visit.join()
    visit.desk.staff = False
    visit.socket.rejoin(visit.log.stream)
    await settled()
    visit.desk.gate.set()
    await settled()
    assert [frame["staff"] for frame in visit.of("joined")] == [0]
    await visit.end()


async def test_an_error_while_joining_tells_the_client_to_come_again():
    visit = Visit()
    visit.desk.trouble = KeyError("a part of a snapshot")
    await visit.join()
    assert [frame["code"] for frame in visit.of("bye")] == [4100]
    await visit.end()
    assert visit.hub._watches == {}


async def test_an_ended_socket_is_freed_without_the_collector():
    visit = await Visit().join()
    gc.collect()
    gc.disable()
    try:
        await visit.end()
        reference = weakref.ref(visit.socket)
        del visit.socket, visit.running
        await settled()
        assert reference() is None
    finally:
        gc.enable()


async def test_an_epoch_that_begins_in_the_middle_of_a_fan_out_does_not_rename_old_events(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(fanout, "SLICE", 1)
    log = FakeLog()
    log.commit(4)
    hub = Hub(Layer(InMemoryChannelLayer()), log)  # type: ignore[arg-type]
    sockets = [FakeSocket(), FakeSocket(), FakeSocket(PERSON)]
    for socket in sockets:
        (await follow(hub, socket, log.stream)).release(4, Viewer(socket.person_id))  # type: ignore[arg-type]
    hub.deliver(log.commit())
    watch = hub._watches[log.stream]
    assert watch.log_fanout.busy
    log.epoch, log.seq = 2, 2
    await hub.log.compare(watch)
    await settled()
    assert {frame["epoch"] for s in sockets for frame in s.sent if frame["type"] == "events"} == {1}
    for socket in sockets:
        await socket.end()


async def test_who_waits_for_a_read_is_let_go_when_the_process_ends():
    gate = asyncio.Event()

    class Readers:
        async def run(self, function: Any, keys: Any) -> Any:
            await gate.wait()
            return function(keys)

    tasks: list[asyncio.Task[None]] = []
    gather: Gather[int, int] = Gather(
        Readers(),  # type: ignore[arg-type]
        lambda coroutine: tasks.append(asyncio.ensure_future(coroutine)),
        lambda keys: keys,
    )
    asked = [asyncio.ensure_future(gather.ask(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.append(asyncio.ensure_future(gather.ask(2)))
    await asyncio.sleep(0)
    tasks[0].cancel()
    async with asyncio.timeout(30):
        assert [type(r) for r in await asyncio.gather(*asked, return_exceptions=True)] == [
            asyncio.CancelledError,
            asyncio.CancelledError,
        ]
