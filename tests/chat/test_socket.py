"""One socket against anything that a client may send, and against its own cancellation at any moment."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from chat.log import registry
from chat.log.errors import busy
from chat.realtime import limits
from chat.realtime.closing import CloseCode
from chat.realtime.consumer import Socket
from chat.realtime.outbox import Backlog

registry.load()

ID = st.sampled_from([str(uuid7()), str(uuid4()), "x", "", None, 7, "0" * 32])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20) | ID,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | ID.map(str), inner, max_size=4)
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(
    ["auth", "join", "leave", "do", "ask", "ping", "tell", "disconnect", "websocket.close", "hello", ""]
)
FIELDS = st.sampled_from(
    ["id", "stream", "streams", "name", "body", "ids", "at", "value", "ticket", "resume", "after", "epoch"]
)
NAMES = st.sampled_from([*sorted(registry.COMMANDS), "no.such"])
FRAMES = (
    st.binary(max_size=64)
    | st.text(max_size=200)
    | JSON.map(json.dumps)
    | st.builds(
        lambda kind, fields: json.dumps({"type": kind, **fields}),
        TYPES,
        st.dictionaries(FIELDS, JSON, max_size=5),
    )
    | st.builds(
        lambda id, name, body: json.dumps(
            {"type": "do", "id": id, "stream": str(uuid4()), "name": name, "body": body}
        ),
        ID,
        NAMES,
        JSON,
    )
)


class Client:
    """Both ends of a socket without a server."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: list[dict[str, Any]] = []
        hub = SimpleNamespace(
            backlog=Backlog(),
            watches=lambda stream: False,
            unfollow=lambda socket, stream: None,
            drop_person=lambda person, socket: None,
            add_person=lambda person, socket: {socket},
            tell=lambda *_: None,
            spawn=asyncio.ensure_future,
        )
        self.server = SimpleNamespace(
            hub=hub,
            draining=False,
            plain_asgi=False,
            features=[],
            guard=None,
            session_cookie="sessionid",
            sockets=set(),
            readers=SimpleNamespace(run=self._read),
            identities=SimpleNamespace(resume_token=lambda who: "token", from_ticket=lambda *_: None),
            desk=SimpleNamespace(
                may_read=self._may_read, from_resume_token=self._nobody, from_session=self._nobody
            ),
            bridge=SimpleNamespace(to=lambda receiver: receiver),
            lane=SimpleNamespace(submit=self._submit),
        )
        self.socket = Socket(self.server, {"headers": []}, self.incoming.get, self._send)  # type: ignore[arg-type]
        self.server.sockets.add(self.socket)
        # nobody counts here
        self.socket._bucket = limits.Bucket(1e9, 1e9)

    async def _read(self, function: Any, *args: Any) -> Any:
        if getattr(function, "__name__", "") == "access":
            return {stream: registry.Access(read=False) for stream in args[0]}
        return None if "from" in repr(function) or "<lambda>" in repr(function) else {}

    async def _may_read(self, *_: Any) -> registry.Access:
        return registry.Access(read=False)

    async def _nobody(self, *_: Any) -> None:
        return None

    def _submit(self, request: Any) -> None:
        raise busy()

    async def _send(self, message: dict[str, Any]) -> None:
        self.outgoing.append(message)


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAMES, min_size=20, max_size=60))
def test_nothing_that_is_sent_ends_a_socket(frames: list[str | bytes]):
    async def life() -> None:
        client = Client()
        running = asyncio.ensure_future(client.socket.run())
        client.incoming.put_nowait({"type": "websocket.connect"})
        for n, frame in enumerate(frames):
            client.socket._bad_frames = 0
            key = "bytes" if isinstance(frame, bytes) else "text"
            client.incoming.put_nowait({"type": "websocket.receive", key: frame})
            client.incoming.put_nowait(
                {"type": "websocket.receive", "text": json.dumps({"type": "ping", "at": n + 0.5})}
            )
        async with asyncio.timeout(20):
            pong = f'"at":{len(frames) - 0.5}'
            while not any(pong in m.get("text", "") for m in client.outgoing):
                assert not running.done()
                await asyncio.sleep(0)
        client.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await running
        assert client.server.sockets == set()
        for message in client.outgoing:
            if "text" in message:
                json.loads(message["text"], parse_constant=_no_json)

    asyncio.run(life())


async def test_a_socket_that_is_cancelled_at_any_moment_leaves_nothing_behind():
    for steps in range(1, 12):
        client = Client()
        running = asyncio.ensure_future(client.socket.run())
        client.incoming.put_nowait({"type": "websocket.connect"})
        client.incoming.put_nowait(
            {
                "type": "websocket.receive",
                "text": json.dumps({"type": "join", "streams": [{"stream": str(UUID(int=1))}]}),
            }
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert client.server.sockets == set()
    # only this test itself is left
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_is_silent_for_too_long_is_sent_away_to_come_back_and_nobody_sooner():
    client = Client()
    running = asyncio.ensure_future(client.socket.run())
    client.incoming.put_nowait({"type": "websocket.connect"})
    async with asyncio.timeout(20):
        while not any("hello" in m.get("text", "") for m in client.outgoing):  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        heard_at = time.monotonic()
        client.socket.beat(heard_at + limits.SILENCE - 5)
        assert client.socket.outbox.closing is None
        client.socket.beat(heard_at + limits.SILENCE + 5)
        while client.outgoing[-1]["type"] != "websocket.close":  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)
    client.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await running
    assert client.outgoing[-1]["code"] == CloseCode.SILENT
    assert [json.loads(m["text"])["type"] for m in client.outgoing if "text" in m] == ["hello", "beat", "bye"]


async def test_what_comes_first_must_be_a_connection():
    client = Client()
    client.incoming.put_nowait({"type": "websocket.disconnect"})
    await client.socket.run()
    assert client.server.sockets == set()
    assert client.outgoing == []
