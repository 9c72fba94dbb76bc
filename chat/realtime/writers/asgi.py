"""Plain ASGI: right on every server and under TLS; one task per socket, which awaits the server's `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chat.realtime.frame import Frame


class AsgiWriter:
    """One frame at a time: while the server has it, the next must wait."""

    __slots__ = ("_frame", "_ready", "_send", "_task")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], ready: Callable[[], None]) -> None:
        self._send = send
        self._ready = ready
        self._frame: Frame | None = None
        self._task: asyncio.Task[None] | None = None

    def write(self, frame: Frame) -> bool:
        if self._frame is not None:
            return False
        self._frame = frame
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return True

    @staticmethod
    def write_all(writers: Sequence[AsgiWriter], frame: Frame) -> list[AsgiWriter]:
        refused = []
        for writer in writers:
            try:
                taken = writer.write(frame)
            except Exception:
                # it raises once more when it is asked by itself
                taken = False
            if not taken:
                refused.append(writer)
        return refused

    async def _run(self) -> None:
        try:
            while self._frame is not None:
                await self._send({"type": "websocket.send", "text": self._frame.payload.decode()})
                self._frame = None
                self._ready()
        except Exception:
            # servers raise what they like when the client has left. `_frame` stays: nothing more is taken, and the
            # reader hears of the end
            return
        self._task = None

    def buffered(self) -> int:
        return 0

    async def close(self, code: int, reason: str) -> None:
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """ASGI has no way to drop a connection: the send that hangs is given up, and the application ends."""
        self.end()

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
