"""How many requests a process works on at once.

Under ASGI every request that Django answers has a thread of its own and, with its first query, a connection to the
database. Without a bound a database that is slow would be asked for hundreds of them, and everything else of this
process would wait for a processor. Who finds no place in time is told to come again, before anything was begun.
A place is for a request that has arrived with all its body (`livesale.uploads`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from chat.log.errors import Refused, busy
from livesale.rest.errors import refusal_at
from livesale.uploads import Gone, Receive, Uploads

# Requests that may wait for a place, and how long one does, in seconds: a buyer who is told "again" is not lost.
WAITING = 200
PATIENCE = 2.0
# How long the end of the process waits for requests that are being worked on, in seconds.
LAST = 5.0

Application = Callable[[Any, Any, Any], Awaitable[None]]
Send = Callable[[Any], Awaitable[None]]


@dataclass(slots=True)
class Counts:
    running: int = 0
    waiting: int = 0
    turned_away: int = 0


# One process, one number: by design, as with the wire's.
counts = Counts()


class Admission:
    """An ASGI application around another one, which works on `at_once` requests at most.

    Addresses in `always` are answered whoever else is: probes say how it is while nobody else is let in.
    """

    def __init__(
        self, application: Application, at_once: int, always: Container[str], patience: float = PATIENCE
    ) -> None:
        self._application = application
        self._always = always
        self._places = asyncio.Semaphore(at_once)
        self._patience = patience
        self._uploads = Uploads()
        self._ending = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _here(scope) in self._always:
            await self._application(scope, *_until_answered(_without_body(receive), send))
            return
        try:
            body = await self._uploads.take(receive, _here(scope), scope)
        except Gone:
            return
        except Refused as refusal:
            counts.turned_away += refusal.temporary
            # the rest of the body may be on its way, or never come: nothing else is said on this connection
            await _refuse(scope, send, refusal, [(b"connection", b"close")])
            return
        try:
            await self._let_in(scope, body.receive, send)
        finally:
            body.close()

    async def finish(self) -> None:
        """Let in nobody new, and wait for those who are in: cut off, their threads would wait for the loop for ever."""
        self._ending = True
        until = time.monotonic() + LAST
        while counts.running and time.monotonic() < until:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.02)

    async def _let_in(self, scope: Any, receive: Any, send: Any) -> None:
        if not await self._enter():
            counts.turned_away += 1
            await _refuse(scope, send, busy())
            return
        counts.running += 1
        try:
            await self._application(scope, *_until_answered(receive, send))
        finally:
            counts.running -= 1
            self._places.release()

    async def _enter(self) -> bool:
        if self._ending:
            return False
        if not self._places.locked():
            return await self._places.acquire()
        if counts.waiting >= WAITING:
            return False
        counts.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            counts.waiting -= 1


def _until_answered(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """After the answer nobody hears that the client has gone, as servers tell of every request at its end.

    Django would raise it as an error, in a task that it holds in the very frame that the error then holds: a circle for
    the garbage collector, with the request, its body and its answer in it.
    """
    answered = False

    async def send_on(message: Any) -> None:
        nonlocal answered
        answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    async def receive_on() -> Any:
        message = await receive()
        if answered and message["type"] == "http.disconnect":
            await asyncio.get_running_loop().create_future()
        return message

    return receive_on, send_on


def _without_body(receive: Receive) -> Receive:
    """What follows the headers is not waited for and kept nowhere: nobody asks a probe anything."""
    asked = False

    async def receive_nothing() -> Any:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return receive_nothing


def _here(scope: Any) -> str:
    """The path below where the site is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path") or "")


async def _refuse(scope: Any, send: Any, refusal: Refused, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    request = HttpRequest()
    request.path = _here(scope)
    response = refusal_at(request, refusal)
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": [*headers, *more]})
    await send({"type": "http.response.body", "body": response.content})
