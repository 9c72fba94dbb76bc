"""What waits to leave on one socket: bounded, two lanes.

The log lane is never thinned: when it is full the socket is closed with a code that means "resume". The signal lane
holds only the latest values per stream and goes last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from chat.realtime import protocol
from chat.realtime.closing import CloseCode

# Bytes that may wait for one socket before it counts as slow.
LIMIT = 256 * 1024
# One send that takes longer than this, in seconds, means that nobody reads.
SEND_TIMEOUT = 10.0
# For the last words to somebody who does not read, in seconds.
LAST_TIMEOUT = 1.0

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Outbox:
    """Frames on their way to one client, and the task that sends them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: deque[str] = deque()
        self._latest: dict[str, str] = {}
        # per stream: values that have not left yet, and their frame while it is still the one that others get too
        self._values: dict[UUID, tuple[str | None, dict[str, tuple[int, Any]]]] = {}
        self._waiting = 0
        self._wake = asyncio.Event()
        self.closing: tuple[CloseCode, str] | None = None

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._run())

    @property
    def waiting(self) -> int:
        """Bytes (roughly: characters) that wait in the log lane."""
        return self._waiting

    def put(self, frame: str) -> None:
        """Queue a frame of the log lane, or give the client up as slow."""
        if self.closing is not None:
            return
        self._waiting += len(frame)
        if self._waiting > LIMIT:
            self.close(CloseCode.SLOW)
            return
        self._frames.append(frame)
        self._wake.set()

    def put_latest(self, key: str, frame: str) -> None:
        """Queue a frame of the signal lane; it replaces one with the same key that has not left yet."""
        if self.closing is None:
            self._latest[key] = frame
            self._wake.set()

    def put_values(self, stream_id: UUID, frame: str, values: dict[str, tuple[int, Any]]) -> None:
        """Queue latest values of a stream; they replace those with the same keys that have not left yet."""
        if self.closing is not None:
            return
        waiting = self._values.get(stream_id)
        if waiting is None:
            self._values[stream_id] = (frame, values)
        else:
            self._values[stream_id] = (None, {**waiting[1], **values})
        self._wake.set()

    def drop_values(self, stream_id: UUID) -> None:
        self._values.pop(stream_id, None)

    def close(self, code: CloseCode, last_frame: str = "", *, flush: bool = False) -> None:
        """Take nothing more and close; what waits in the log lane goes first with `flush`, else it is dropped."""
        if self.closing is None:
            self.closing = (code, last_frame)
            if not flush:
                self._frames.clear()
            self._latest.clear()
            self._values.clear()
            self._wake.set()

    async def _run(self) -> None:
        while self.closing is None:
            await self._send_waiting()
            if self.closing is None and (self._latest or self._values):
                await self._write(self._next_signal())
            elif self.closing is None:
                self._wake.clear()
                await self._wake.wait()
        await self._send_waiting()
        code, last_frame = self.closing
        async with asyncio.timeout(LAST_TIMEOUT):
            if last_frame:
                await self._send({"type": "websocket.send", "text": last_frame})
            await self._send({"type": "websocket.close", "code": int(code), "reason": code.name.lower()})

    async def _send_waiting(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            await self._write(frame)
            self._waiting -= len(frame)

    def _next_signal(self) -> str:
        if self._latest:
            return self._latest.pop(next(iter(self._latest)))
        stream_id = next(iter(self._values))
        frame, values = self._values.pop(stream_id)
        return frame if frame is not None else protocol.values_frame(stream_id, values)

    async def _write(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._send({"type": "websocket.send", "text": frame})
        except TimeoutError:
            self.close(CloseCode.SLOW)
            self._frames.clear()
