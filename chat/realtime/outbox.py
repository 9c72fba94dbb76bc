"""What waits to leave on one socket: bounded, two lanes.

The log lane is never thinned: when it is full the socket is closed with a code that means "resume". The signal lane
holds only the latest frame per stream and goes last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from chat.realtime.closing import CloseCode

# Bytes that may wait for one socket before it counts as slow.
LIMIT = 256 * 1024
# One send that takes longer than this, in seconds, means that nobody reads.
SEND_TIMEOUT = 10.0

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Outbox:
    """Frames on their way to one client, and the task that sends them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: deque[str] = deque()
        self._latest: dict[str, str] = {}
        self._waiting = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.closing: tuple[CloseCode, str] | None = None

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run())
        return self._task

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

    def close(self, code: CloseCode, last_frame: str = "") -> None:
        """Drop what waits and close; nothing is taken any more."""
        if self.closing is None:
            self.closing = (code, last_frame)
            self._frames.clear()
            self._latest.clear()
            self._wake.set()

    async def _run(self) -> None:
        while True:
            while self._frames and self.closing is None:
                frame = self._frames.popleft()
                await self._write(frame)
                self._waiting -= len(frame)
            if self.closing is not None:
                break
            if self._latest:
                _, frame = self._latest.popitem()
                await self._write(frame)
                continue
            self._wake.clear()
            if not self._frames and not self._latest and self.closing is None:
                await self._wake.wait()
        code, last_frame = self.closing
        if last_frame:
            await self._write(last_frame)
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._send({"type": "websocket.close", "code": int(code), "reason": code.name.lower()})

    async def _write(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._send({"type": "websocket.send", "text": frame})
        except TimeoutError:
            self.close(CloseCode.SLOW)
