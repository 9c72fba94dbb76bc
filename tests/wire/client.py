"""A raw client of the wire for tests: it sends frames, keeps every frame it gets, and waits for the one it wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self
from uuid import UUID

from uuid_utils.compat import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]
# Nothing here takes this long; it only ends a test that would hang.
PATIENCE = 15.0


def new_id() -> str:
    return str(uuid7())


class Wire:
    """One socket. `frames` is everything heard so far, in order; waiting looks only at what was not taken yet."""

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._link: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._waiting: list[Frame] = []
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self.close_reason = ""

    async def __aenter__(self) -> Self:
        self._link = await connect(
            self._url,
            proxy=None,
            compression=None,
            ping_interval=None,
            open_timeout=PATIENCE,
            **self._options,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        assert self._link is not None
        assert self._reader is not None
        await self._link.close()
        await self._reader

    def abort(self) -> None:
        """Cut the TCP connection without a word."""
        assert self._link is not None
        self._link.transport.abort()

    def stop_reading(self) -> None:
        """Leave everything that comes from now on in the kernel's buffers."""
        assert self._link is not None
        self._link.transport.pause_reading()

    async def _read(self) -> None:
        assert self._link is not None
        try:
            while True:
                text = await self._link.recv()
                frame = json.loads(text)
                async with self._news:
                    self.frames.append(frame)
                    self._waiting.append(frame)
                    self._news.notify_all()
        except ConnectionClosed as closed:
            async with self._news:
                self.close_code = closed.rcvd.code if closed.rcvd else 1006
                self.close_reason = closed.rcvd.reason if closed.rcvd else ""
                self._news.notify_all()

    # --- sending ------------------------------------------------------------------------------------------------

    async def send(self, type: str, **fields: Any) -> None:
        await self.send_raw(json.dumps({"type": type, **fields}))

    async def send_raw(self, data: str | bytes) -> None:
        assert self._link is not None
        await self._link.send(data)

    async def do(self, stream: UUID | str, name: str, body: Frame | None = None, id: str = "") -> str:
        """Send a command without waiting; returns its id."""
        command_id = id or new_id()
        await self.send("do", id=command_id, stream=str(stream), name=name, body=body or {})
        return command_id

    # --- waiting ------------------------------------------------------------------------------------------------

    async def wait(self, wanted: Callable[[Frame], Any], what: str = "a frame") -> Frame:
        """Take the first frame, in order of arrival, for which `wanted` is true."""

        def find() -> Frame | None:
            for i, frame in enumerate(self._waiting):
                if wanted(frame):
                    return self._waiting.pop(i)
            return None

        async with asyncio.timeout(PATIENCE), self._news:
            while True:
                found = find()
                if found is not None:
                    return found
                if self.close_code is not None:
                    raise AssertionError(
                        f"closed with {self.close_code} before {what}; heard {self.frames[-5:]}"
                    )
                try:
                    await self._news.wait()
                except asyncio.CancelledError:
                    raise AssertionError(f"{what} did not come; heard {self.frames[-5:]}") from None

    async def expect(self, type: str, **fields: Any) -> Frame:
        """Take the first frame of that type with these fields."""
        return await self.wait(
            lambda f: f["type"] == type and all(f.get(k) == v for k, v in fields.items()), f"{type} {fields}"
        )

    async def expect_close(self) -> int:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    # --- what is done often -------------------------------------------------------------------------------------

    async def hello(self) -> Frame:
        return await self.expect("hello")

    async def auth(self, ticket: str) -> Frame:
        await self.hello()
        await self.send("auth", ticket=ticket)
        return await self.hello()

    async def join(self, stream: UUID | str, after: int | None = None, epoch: int | None = None) -> Frame:
        position: Frame = {"stream": str(stream)}
        if after is not None:
            position |= {"after": after, "epoch": epoch}
        await self.send("join", streams=[position])
        return await self.expect("joined", stream=str(stream))

    async def ask_for(self, stream: UUID | str, name: str, body: Frame | None = None, id: str = "") -> Frame:
        """Send a command and wait for its answer: an `ack` or an `error` frame."""
        command_id = await self.do(stream, name, body, id)
        return await self.wait(
            lambda f: f["type"] in {"ack", "error"} and f.get("id") == command_id, f"the answer to {name}"
        )

    async def say(self, stream: UUID | str, text: str) -> str:
        """Send a message; returns its id."""
        answer = await self.ask_for(stream, "message.send", {"text": text})
        assert answer["type"] == "ack", answer
        return str(answer["answer"]["message"])

    async def event(self, kind: str, **body: Any) -> Frame:
        """Wait until an event of that kind (and with these facts) has come in some `events` frame."""

        def matches(event: Frame) -> bool:
            return event["kind"] == kind and all(event["body"].get(k) == v for k, v in body.items())

        def carries(frame: Frame) -> bool:
            return frame["type"] == "events" and any(matches(e) for e in frame["events"])

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(
                lambda: any(carries(f) for f in self.frames) or self.close_code is not None
            )
        found = [e for f in self.frames if carries(f) for e in f["events"] if matches(e)]
        assert found, f"closed with {self.close_code} before {kind} {body}"
        return found[0]

    def events(self, stream: UUID | str) -> list[Frame]:
        """Every event of a stream heard on this socket, as it came."""
        return [
            e
            for f in self.frames
            if f["type"] == "events" and f["stream"] == str(stream)
            for e in f["events"]
        ]

    def ranges(self, stream: UUID | str) -> list[tuple[int, int]]:
        return [
            (f["first"], f["last"])
            for f in self.frames
            if f["type"] == "events" and f["stream"] == str(stream)
        ]
