"""The channel layer as a doorbell: one channel per process, one group per watched stream, never waited for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

PEOPLE = "people"
# Messages that may wait to leave for the layer; beyond it they are dropped, and the log repairs.
QUEUE_LIMIT = 2_000
# After a message of the layer has left, the next waits this long, in seconds: what comes meanwhile leaves in one. The
# first after quiet goes at once, and readers on this process wait for none of it.
LINGER = 0.01
# If a single doorbell waited, it waited for nothing: none is kept waiting for so many seconds, then it is tried again.
# (Who says the next thing only when the last was heard would otherwise be held up every time.)
NO_LINGER = 1.0
# Doorbells that leave in one message, and the bytes from which on no more are added.
TOGETHER = 200
TOGETHER_BYTES = 64 * 1024
# For more groups than these, one message to all processes is cheaper than one for each.
FEW_GROUPS = 4
# The layer counts as down for this long after its last failure, in seconds; it is logged once per quiet while.
TROUBLE = 5.0
TROUBLE_LOGGED = 60.0
# One call to the layer may take this long, in seconds.
PATIENCE = 5.0


def group_name(key: UUID | str) -> str:
    return f"livesale.{key}" if isinstance(key, str) else f"livesale.stream.{key.hex}"


def _messages(waiting: list[tuple[str, bytes]]) -> list[tuple[str, list[tuple[str, bytes]]]]:
    """Which message goes to which group, so that all doorbells arrive where they should, in their order."""
    by_group: dict[str, list[tuple[str, bytes]]] = {}
    for group, data in waiting:
        by_group.setdefault(group, []).append((group, data))
    if len(by_group) > FEW_GROUPS:
        return [(group_name(PEOPLE), waiting)]
    return list(by_group.items())


class Layer:
    """What the hub needs of a Channels layer. Losing, repeating or delaying a message here is allowed.

    With the in-memory layer there is nobody else to tell, and nothing is sent.
    """

    def __init__(self, backend: Any = None) -> None:
        self._layer: Any = backend if backend is not None else get_channel_layer()
        self._alone = isinstance(self._layer, InMemoryChannelLayer)
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(QUEUE_LIMIT)
        self._channel = ""
        self._joined: set[str] = set()
        self._opened = asyncio.Event()
        self._trouble_at = self._logged_at = float("-inf")
        self._sending = False
        self.dropped = 0
        self.troubles = 0

    @property
    def down(self) -> bool:
        """Whether the layer has failed lately."""
        return time.monotonic() - self._trouble_at < TROUBLE

    @property
    def idle(self) -> bool:
        """Whether everything posted has left (or was dropped)."""
        return self._queue.empty() and not self._sending

    def post(self, key: UUID | str, make: Callable[[], bytes]) -> None:
        """Send a message to a group some time soon, if the layer works. Never blocks, never raises."""
        if self._alone:
            return
        try:
            self._queue.put_nowait((group_name(key), make()))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self, heard: Callable[[bytes], None]) -> None:
        """Receive and send until cancelled; an outage of the layer is ridden out."""
        if self._alone:
            return
        await asyncio.gather(self._receive(heard), self._send())

    async def _receive(self, heard: Callable[[bytes], None]) -> None:
        while True:
            try:
                if not self._channel:
                    self._channel = await self._layer.new_channel()
                    self._opened.set()
                message = await self._layer.receive(self._channel)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._trouble(error)
                await asyncio.sleep(0.5)
                continue
            for data in self._doorbells(message):
                try:
                    heard(data)
                except Exception:
                    # one that nobody can follow must not make the process deaf
                    logger.exception("a message of the channel layer could not be followed")

    def _doorbells(self, message: dict[str, Any]) -> list[bytes]:
        """What a message of the layer rings here; nothing for what another version of the program may have sent."""
        match message:
            case {"type": "livesale.doorbell", "data": bytes(data)}:
                return [data]
            case {"type": "livesale.doorbells", "rung": list(rung)}:
                # to all processes, for the streams of some
                return [each[1] for each in rung if each[0] in self._joined]
        return []

    async def _send(self) -> None:
        linger_from = 0.0
        while True:
            waiting = [await self._queue.get()]
            self._sending = True
            try:
                size = len(waiting[0][1])
                # the last one may go beyond
                while len(waiting) < TOGETHER and size < TOGETHER_BYTES and not self._queue.empty():
                    waiting.append(self._queue.get_nowait())
                    size += len(waiting[-1][1])
                for to, rung in _messages(waiting):
                    await self._ring(to, rung)
            finally:
                self._sending = False
            full = len(waiting) >= TOGETHER or size >= TOGETHER_BYTES
            if not full and time.monotonic() >= linger_from:
                await asyncio.sleep(LINGER)
                if self._queue.qsize() == 1:
                    linger_from = time.monotonic() + NO_LINGER

    async def _ring(self, to: str, rung: list[tuple[str, bytes]]) -> None:
        if len(rung) == 1:
            message = {"type": "livesale.doorbell", "data": rung[0][1]}
        else:
            message = {"type": "livesale.doorbells", "rung": rung}
        try:
            async with asyncio.timeout(PATIENCE):
                await self._layer.group_send(to, message)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.dropped += len(rung)
            self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        self._trouble_at = time.monotonic()
        self.troubles += 1
        if self._trouble_at - self._logged_at > TROUBLE_LOGGED:
            self._logged_at = self._trouble_at
            logger.warning(
                "channel layer: %s; readers are served from the log until it is back", type(error).__name__
            )

    async def add(self, key: UUID | str) -> None:
        """Join a group; comes back when it is joined, or when the layer has refused."""
        self._joined.add(group_name(key))
        if not self._alone:
            await self._opened.wait()
            await self._quietly(self._layer.group_add(group_name(key), self._channel))

    async def discard(self, key: UUID | str) -> None:
        self._joined.discard(group_name(key))
        if not self._alone and self._channel:
            await self._quietly(self._layer.group_discard(group_name(key), self._channel))

    async def renew(self, keys: Iterable[UUID | str]) -> None:
        """Join all groups again: a layer that was emptied or restarted has forgotten us."""
        if self._alone or not self._channel:
            return
        for key in list(keys):
            if not await self._quietly(self._layer.group_add(group_name(key), self._channel)):
                return

    async def close(self) -> None:
        """Close the connections. (`flush` empties Redis on the queueing layer: only for pub/sub.)"""
        if not self._alone:
            close = getattr(self._layer, "close_pools", None) or self._layer.flush
            await self._quietly(close())

    async def _quietly(self, call: Awaitable[Any]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await call
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._trouble(error)
            return False
        return True
