"""Many askers, one read: when a thousand clients come back at once, the database is asked a few times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from chat.realtime.readers import Readers

K = TypeVar("K")
V = TypeVar("V")

# Keys read together at most.
MOST = 500
# Where so many asked together, more are on their way: the next read waits a moment for them, in seconds.
CROWD = 8
LINGER = 0.03


class Gather(Generic[K, V]):
    """Reads for whoever asks; what is asked while a read runs is read together afterwards.

    A lone asker waits for one read, as if there were no gathering; only a crowd waits for its stragglers. Whoever
    asks gets what a read found that began after the question.
    """

    def __init__(
        self,
        readers: Readers,
        spawn: Callable[[Any], Any],
        read: Callable[[Sequence[K]], Sequence[V]],
        most: int = MOST,
    ) -> None:
        """`read(keys)` blocks, in a reader thread, and gives one value per key, in their order."""
        self._readers = readers
        self._spawn = spawn
        self._read = read
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._running = False

    async def ask(self, key: K) -> V:
        """What `read` finds for this key; what it raises is raised here, for all who asked together."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if not self._running:
            self._running = True
            self._spawn(self._run())
        return await future

    async def _run(self) -> None:
        crowded = False
        batch: list[tuple[K, asyncio.Future[V]]] = []
        try:
            while self._waiting:
                if crowded:
                    await asyncio.sleep(LINGER)
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                crowded = len(batch) >= CROWD
                try:
                    found = await self._readers.run(self._read, [key for key, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), value in zip(batch, found, strict=True):
                        if not future.done():
                            future.set_result(value)
        finally:
            self._running = False
            # only when the hub stops: whoever still waits ends too
            left, self._waiting = [*batch, *self._waiting], []
            for _, future in left:
                if not future.done():
                    future.cancel()
