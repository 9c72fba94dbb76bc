"""How many requests a process works on at once.

Under ASGI every request that Django answers has a thread of its own and, with its first query, a connection to the
database. Without a bound a database that is slow would be asked for hundreds of them, and everything else of this
process would wait for a processor. Who finds no place in time is told to come again, before anything was begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from chat.log.errors import busy
from livesale.rest.errors import refusal_at

# Requests that may wait for a place, and how long one does, in seconds: a buyer who is told "again" is not lost.
WAITING = 200
PATIENCE = 2.0

Application = Callable[[Any, Any, Any], Awaitable[None]]


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

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _here(scope) in self._always:
            await self._application(scope, receive, send)
        elif not await self._enter():
            counts.turned_away += 1
            await _turn_away(scope, send)
        else:
            counts.running += 1
            try:
                await self._application(scope, receive, send)
            finally:
                counts.running -= 1
                self._places.release()

    async def _enter(self) -> bool:
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


def _here(scope: Any) -> str:
    """The path below where the site is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path") or "")


async def _turn_away(scope: Any, send: Any) -> None:
    request = HttpRequest()
    request.path = _here(scope)
    response = refusal_at(request, busy())
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
