"""The demo's process: daphne with the real application, the crowd as a child, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from daphne.server import Server as Daphne
from daphne.server import reactor
from django.conf import settings

from livesale.demo import place

# Seconds for the crowd to end, and for what was begun to be finished.
CROWD_END = 3.0
GOODBYES = 6.0
CROWD_AGAIN = 5.0
CROWD_TRIES = 5


class Running:
    """Serves until a signal. `crowd`: arguments for `livesale.demo.crowd`, empty for none."""

    def __init__(self, host: str, port: int, ready: Callable[[], None], say: Callable[[str], Any]) -> None:
        self._host, self._port = host, port
        self._ready, self._say = ready, say
        self.crowd: list[str] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._tries = 0
        self._ending = False
        self._last: asyncio.Task[None] | None = None

    def run(self) -> bool:
        """False when the port could not be had."""
        from livesale.asgi import application

        server = Daphne(
            application,
            endpoints=[f"tcp:port={self._port}:interface={self._host}"],
            signal_handlers=False,
            server_name="livesale",
            verbosity=0,
        )
        loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        reactor.callWhenRunning(self._started, server)
        for number in (signal.SIGINT, signal.SIGTERM):
            # runs between two instructions of anything: the loop does the work
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._end, loop))
        try:
            server.run()
        finally:
            self._end_crowd()
            from livesale.serving import server as realtime

            realtime.stop()
        return bool(server.listening_addresses)

    def _started(self, server: Any) -> None:
        if not server.listening_addresses:
            server.stop()
            return
        self._ready()
        self._start_crowd()

    # --- the crowd ----------------------------------------------------------------------------------------------

    def _start_crowd(self) -> None:
        if not self.crowd or self._ending:
            return
        if self._child is not None and self._child.poll() is None:
            reactor.callLater(CROWD_AGAIN, self._start_crowd)
            return
        if self._tries == CROWD_TRIES:
            self._say("  the crowd has ended and stays away; everything else goes on")
            return
        self._tries += 1
        command = [
            sys.executable,
            "-m",
            "livesale.demo.crowd",
            "--url",
            f"http://127.0.0.1:{self._port}",
            *self.crowd,
        ]
        self._child = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, env=place.child_environment(), cwd=settings.BASE_DIR
        )
        reactor.callLater(CROWD_AGAIN, self._start_crowd)

    def _end_crowd(self) -> None:
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            with suppress(OSError):
                child.stdin.close()
        with suppress(OSError):
            child.terminate()
        try:
            child.wait(CROWD_END)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._child = None

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._ending:
            # asked twice: at once
            if reactor.running:
                reactor.stop()
            return
        self._ending = True
        self._last = loop.create_task(self._goodbye())

    async def _goodbye(self) -> None:
        from livesale.serving import server as realtime

        try:
            await asyncio.to_thread(self._end_crowd)
            # on SIGTERM the server has seen to it already
            if not realtime.draining:
                async with asyncio.timeout(GOODBYES):
                    await realtime.drain()
        finally:
            # a page that was loading when the server ended is nobody's error
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            if reactor.running:
                reactor.stop()
