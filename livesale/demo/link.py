"""A client of the wire, as an app would write one: connects, says who it is, follows streams, resumes, commands."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uuid_utils.compat import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

ANSWER_TIMEOUT = 15.0
PING_EVERY = 30.0

Heard = Callable[[str, dict[str, Any]], None]


class Refused(Exception):
    """The server said no, or could not be reached in time (`lost`)."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


class Link:
    """One person's socket. `heard(stream, frame)` gets every `joined`, `events` and `values` frame in order.

    `token` makes a fresh resume token: it is signed here, like the one in the server's `hello`.
    """

    def __init__(self, url: str, token: Callable[[], str], streams: list[str], heard: Heard) -> None:
        self._url = url
        self._token = token
        self._after: dict[str, tuple[int, int] | None] = dict.fromkeys(streams)
        self._heard = heard
        self._socket: ClientConnection | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.following = asyncio.Event()
        self.done = False

    async def run(self) -> None:
        """Stay connected until cancelled, or until the server says to stay away."""
        wait = 0.5
        while not self.done:
            try:
                async with connect(
                    self._url, proxy=None, compression=None, max_size=None, open_timeout=10, close_timeout=1
                ) as socket:
                    await self._talk(socket)
                    wait = 0.5
            except (OSError, WebSocketException, TimeoutError, asyncio.IncompleteReadError):
                pass
            finally:
                self._lost()
            await asyncio.sleep(wait * random.uniform(0.6, 1.4))  # noqa: S311 - a spread
            wait = min(wait * 2, 8.0)

    def _lost(self) -> None:
        self._socket = None
        self.following.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Refused("lost"))
        self._waiting.clear()

    async def _talk(self, socket: ClientConnection) -> None:
        pings = asyncio.create_task(self._ping(socket))
        try:
            await socket.send(json.dumps({"type": "auth", "resume": self._token()}))
            async for text in socket:
                await self._frame(socket, json.loads(text))
        finally:
            # not awaited: that would swallow the end of this task when both come at once
            pings.cancel()

    async def _ping(self, socket: ClientConnection) -> None:
        with suppress(WebSocketException):
            while True:
                await asyncio.sleep(PING_EVERY)
                await socket.send('{"type":"ping"}')

    async def _frame(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "hello":
            if frame.get("you"):
                self._socket = socket
                await socket.send(
                    json.dumps({"type": "join", "streams": [self._position(s) for s in self._after]})
                )
        elif kind == "joined":
            self._after[frame["stream"]] = (frame["seq"], frame["epoch"])
            self._heard(frame["stream"], frame)
            if all(self._after.values()):
                self.following.set()
        elif kind == "events":
            self._after[frame["stream"]] = (frame["last"], frame["epoch"])
            self._heard(frame["stream"], frame)
        elif kind == "values":
            self._heard(frame["stream"], frame)
        elif kind == "ack":
            self._settle(frame["id"], frame["answer"])
        elif kind == "error":
            if frame.get("id"):
                self._settle(frame["id"], Refused(frame["code"], frame.get("retry_after")))
            elif frame["code"] == "auth.failed":
                self.done = True
                await socket.close()
        elif kind == "bye":
            self.done = self.done or 4400 <= frame["code"] < 4500

    def _position(self, stream: str) -> dict[str, Any]:
        known = self._after[stream]
        return (
            {"stream": stream} if known is None else {"stream": stream, "after": known[0], "epoch": known[1]}
        )

    def _settle(self, id: str, result: dict[str, Any] | Refused) -> None:
        future = self._waiting.pop(id, None)
        if future is not None and not future.done():
            if isinstance(result, Refused):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def do(self, stream: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises `Refused`."""
        socket = self._socket
        if socket is None:
            raise Refused("lost")
        id = str(uuid7())
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        frame = {"type": "do", "id": id, "stream": stream, "name": name, "body": body or {}}
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await socket.send(json.dumps(frame))
                return await future
        except (WebSocketException, TimeoutError):
            raise Refused("lost") from None
        finally:
            self._waiting.pop(id, None)
