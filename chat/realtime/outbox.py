"""What waits to leave on one socket: bounded, two lanes.

The log lane is never thinned: when it is full, or nothing has left for seconds, the socket is closed with a code that
means "resume". The signal lane holds only the latest values per stream and goes last. While the client keeps up,
nothing waits at all: a frame is in the kernel when `put` returns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any
from uuid import UUID

from chat.realtime import protocol
from chat.realtime.closing import CloseCode
from chat.realtime.frame import Frame
from chat.realtime.stats import stats
from chat.realtime.writers import Writer

logger = logging.getLogger(__name__)

# Bytes that may wait for one socket before it counts as slow.
LIMIT = 256 * 1024
# Nothing has left for this long although something waits, in seconds: nobody reads.
STUCK = 5.0
# How often those who wait are asked whether they can go on, in seconds.
LOOK = 0.02
# For the last words to somebody who does not read, and for what waits to leave before them, in seconds.
LAST_TIMEOUT = 1.0
FLUSH_TIMEOUT = 10.0
# Of several large frames (snapshots of many rooms) the next is queued when no more than this many bytes wait.
ROOM = LIMIT // 4
# How long the other side's goodbye is waited for, in seconds.
GOODBYE = 2.0


class Backlog:
    """The outboxes of a process in which something waits; they are looked at every few milliseconds."""

    def __init__(self) -> None:
        self._waiting: set[Outbox] = set()
        self._planned = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, outbox: Outbox) -> bool:
        return outbox in self._waiting

    @property
    def waiting(self) -> int:
        """Bytes that wait in all log lanes; from any thread."""
        return sum(outbox.waiting for outbox in list(self._waiting))

    def add(self, outbox: Outbox) -> None:
        self._waiting.add(outbox)
        self._plan()

    def discard(self, outbox: Outbox) -> None:
        self._waiting.discard(outbox)

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._planned = False
        for outbox in list(self._waiting):
            outbox.drain()
        if self._waiting:
            self._plan()


def send_to_all(outboxes: Sequence[Outbox], frame: Frame, later: Callable[[Outbox], None]) -> None:
    """Write a frame to all where nothing waits, in one go; for the others `later(outbox)` puts it in its place."""
    for outbox in write_at_once(outboxes, frame):
        try:
            later(outbox)
        except Exception:
            # a frame is missing on this socket now; the others must have theirs
            outbox.break_off()


def write_at_once(outboxes: Sequence[Outbox], frame: Frame) -> list[Outbox]:
    """Write a frame to all where nothing waits, and say who has not got it."""
    writers = [outbox.at_once for outbox in outboxes]
    kinds: set[Any] = set(map(type, writers))
    refused: set[int] = set()
    for kind in kinds:
        if kind is NoneType:
            continue
        alike = writers if len(kinds) == 1 else [w for w in writers if type(w) is kind]
        try:
            left = kind.write_all(alike, frame)
        except Exception:
            # only what is asked before anything is written may raise: one by one it is seen who is to blame
            left = alike
        refused.update(map(id, left))
    if not refused and NoneType not in kinds:
        return []
    return [o for o, w in zip(outboxes, writers, strict=True) if w is None or id(w) in refused]


class Outbox:
    """Frames on their way to one client."""

    __slots__ = (
        "_backlog",
        "_ending",
        "_frames",
        "_give_up",
        "_latest",
        "_left",
        "_moved_at",
        "_values",
        "_writer",
        "at_once",
        "closing",
        "waiting",
    )

    def __init__(self, backlog: Backlog, give_up: Callable[[], None]) -> None:
        """`give_up` ends the application of a socket whose connection cannot be closed in any other way."""
        self._backlog = backlog
        self._give_up: Callable[[], None] | None = give_up
        self._writer: Writer | None = None
        # made when something has to wait for the first time: most sockets never need them
        self._frames: deque[Frame] | None = None
        self._latest: dict[str, Frame] | None = None
        # per stream: values that have not left yet, and their frame while it is still the one that others get too
        self._values: dict[UUID, tuple[Frame | None, dict[str, tuple[int, Any]]]] | None = None
        self._moved_at = 0.0
        # bytes in the server's buffer when it was last looked at: that they become fewer is progress too
        self._left = 0
        self._ending: asyncio.Task[None] | None = None
        self.at_once: Writer | None = None
        """The writer, while nothing waits: see `send_to_all`."""
        self.waiting = 0
        """Bytes that wait in the log lane."""
        self.closing: CloseCode | None = None

    def open(self, writer: Writer) -> None:
        """The connection was accepted: frames may leave; or, if it was closed meanwhile, only a goodbye."""
        self._writer = writer
        if self.closing is not None:
            self._ending = asyncio.ensure_future(self._say_goodbye(None))
        else:
            self.at_once = writer

    # --- in -----------------------------------------------------------------------------------------------------

    def put(self, frame: Frame) -> None:
        """Send a frame of the log lane, now or when those before it have left; or give the client up as slow."""
        if self.closing is not None or self._writer is None:
            return
        if not self._frames:
            if self._taken(frame):
                return
            if self._frames is None:
                self._frames = deque()
            self._wait()
        # one frame may be as large as it is; what counts is what gathers
        if self._frames and self.waiting + len(frame) > LIMIT:
            self.close(CloseCode.SLOW)
            return
        self.waiting += len(frame)
        self._frames.append(frame)

    async def room(self) -> None:
        """Wait until there is room for something large, or until it does not matter any more."""
        while self.waiting > ROOM and self.closing is None:  # noqa: ASYNC110 - the backlog drains it
            await asyncio.sleep(LOOK)

    def put_latest(self, key: str, frame: Frame) -> None:
        """Send a frame of the signal lane; while it cannot leave, one with the same key replaces it."""
        if self.closing is not None or self._writer is None:
            return
        if self._frames or self._latest or not self._taken(frame):
            if self._latest is None:
                self._latest = {}
            self._latest[key] = frame
            self._wait()

    def put_values(self, stream_id: UUID, frame: Frame, values: dict[str, tuple[int, Any]]) -> None:
        """Send latest values of a stream; while they cannot leave, younger ones of the same keys replace them."""
        if self.closing is not None or self._writer is None:
            return
        if not (self._frames or self._values) and self._taken(frame):
            return
        if self._values is None:
            self._values = {}
        waiting = self._values.get(stream_id)
        self._values[stream_id] = (frame, values) if waiting is None else (None, {**waiting[1], **values})
        self._wait()

    def drop_values(self, stream_id: UUID) -> None:
        if self._values:
            self._values.pop(stream_id, None)

    def _taken(self, frame: Frame) -> bool:
        """Whether the frame need not wait. A writer that breaks costs its own socket, never the fan-out around it."""
        assert self._writer is not None
        try:
            return self._writer.write(frame)
        except Exception:
            self.break_off()
            return True

    def break_off(self) -> None:
        """A frame could not be taken: the socket cannot go on. Called while the exception is handled."""
        logger.exception("a frame could not be written")
        self.close(CloseCode.BUSY)

    # --- out ----------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        self.at_once = None
        if self not in self._backlog:
            self._moved_at = time.monotonic()
            self._left = 0
            self._backlog.add(self)

    def drain(self) -> None:
        """Let leave what can; called again and again while something waits."""
        if self._writer is None:
            return
        while self._frames:
            if not self._write(self._frames[0]):
                return
            if self._frames:  # else the socket was closed meanwhile
                self.waiting -= len(self._frames.popleft())
        while self._latest:
            key = next(iter(self._latest))
            if not self._write(self._latest[key]):
                return
            if self._latest:
                del self._latest[key]
        while self._values:
            stream_id, (frame, values) = next(iter(self._values.items()))
            if frame is None:
                frame = protocol.values_frame(stream_id, values)
                self._values[stream_id] = (frame, values)
            if not self._write(frame):
                return
            if self._values:
                del self._values[stream_id]
        self._backlog.discard(self)
        if self.closing is None and self._writer is not None:
            self.at_once = self._writer

    def _write(self, frame: Frame) -> bool:
        now = time.monotonic()
        if self._taken(frame):
            self._moved_at = now
            return True
        left = self._writer.buffered() if self._writer is not None else 0
        if left < self._left:
            self._moved_at = now
        self._left = left
        if self.closing is None and now - self._moved_at > STUCK:
            self.close(CloseCode.SLOW)
        return False

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self, code: CloseCode, last_frame: Frame | None = None, *, flush: bool = False) -> None:
        """Take nothing more and close; what waits in the log lane goes first with `flush`, else it is dropped."""
        if self.closing is not None:
            return
        self.closing = code
        self.at_once = None
        stats.closed[code.name.lower()] += 1
        self._latest = self._values = None
        if not flush:
            self._frames = None
            self.waiting = 0
            self._backlog.discard(self)
        self._ending = asyncio.ensure_future(self._say_goodbye(last_frame))

    async def _say_goodbye(self, last_frame: Frame | None) -> None:
        writer, code = self._writer, self.closing
        if writer is None or code is None:
            return
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT if self._frames else LAST_TIMEOUT):
                while self._frames:  # noqa: ASYNC110 - once in a socket's life; the backlog drains it
                    await asyncio.sleep(0.01)
                while last_frame is not None and not writer.write(last_frame):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await writer.close(int(code), code.name.lower())
        except Exception:
            # it does not read, or has left: a close frame would wait as everything before it does
            writer.abort()
        await asyncio.sleep(GOODBYE)
        writer.abort()
        if self._give_up is not None:
            self._give_up()

    def end(self) -> None:
        """The application of the socket ends; nothing is left to be sent."""
        self._backlog.discard(self)
        self.closing = self.closing or CloseCode.GOING_AWAY
        self.at_once = None
        self._frames = self._latest = self._values = None
        # it knows the socket, which knows us: without it an ended socket is freed at once
        self._give_up = None
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._writer is not None:
            self._writer.end()
            self._writer = None
