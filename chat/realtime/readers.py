"""A small pool of threads for reading: a bounded number of database connections, apart from the writer lane's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import Error, connection

T = TypeVar("T")

# A reader's connection is replaced after this many seconds, so that a failed-over server is found again.
MAX_CONNECTION_AGE = 60.0


class Readers:
    """Runs blocking reads beside the event loop; every thread keeps one connection."""

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._threads = threads
        self._local = threading.local()
        # reads asked for on the event loop and not answered yet; more than there are threads have to wait
        self.pending = 0

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` in a reader thread; what it raises is raised here."""
        self.pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, function, args)
        finally:
            self.pending -= 1

    def _call(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        opened = getattr(self._local, "opened", None)
        now = time.monotonic()
        if opened is None or now - opened > MAX_CONNECTION_AGE:
            connection.close()
            self._local.opened = now
        try:
            return function(*args)
        except Error:
            connection.close()
            raise

    def close(self) -> None:
        """End the threads and their connections."""
        barrier = threading.Barrier(self._threads)

        def leave() -> None:
            barrier.wait(5)
            connection.close()

        for _ in range(self._threads):
            self._pool.submit(leave)
        self._pool.shutdown(wait=True)
