"""What a server may keep of a client: frames that nobody has read yet, and the connection itself when it is over.

uvicorn reads on only when the application does. daphne reads whatever comes into a queue without an end: while a
handler waits for the database, a client could fill the memory. Here its connection is not read while too much waits, so
that the rest stays on the client's side.

And a connection that is over refers to itself, with either server: some 20 KiB that only the garbage collector finds,
minutes later. The names are the servers' own; where they are not found nothing is done.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Frames and bytes of them that may wait for one socket. Above either its connection is read no further, below half of
# both it is again.
FRAMES = 64
BYTES = 256 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]


@contextmanager
def bounded(receive: Receive, send: Any) -> Iterator[Receive]:
    """A `receive` that reads no more from the connection than the application keeps up with, while that runs.

    Afterwards the connection is freed as soon as it is over.
    """
    queue = getattr(receive, "__self__", None)
    protocol = send.args[0] if isinstance(send, functools.partial) and send.args else None
    transport = getattr(protocol, "transport", None)
    if not isinstance(queue, asyncio.Queue) or not hasattr(transport, "pauseProducing"):
        _end_parser_when_lost(getattr(send, "__self__", None))
        yield receive
        return
    intake = Intake(queue, transport)
    # Twisted's channel, by which the connection came as a request for HTTP; it and the request hold each other
    requests = getattr(getattr(transport, "producer", None), "requests", None)
    try:
        yield intake.receive
    finally:
        intake.end()
        closed = getattr(protocol, "is_closed", None)
        if closed is not None:
            # its result is the connection that holds it, and nobody asks for it
            closed.addCallback(lambda _: None)
        if isinstance(requests, list):
            requests.clear()


def _end_parser_when_lost(protocol: Any) -> None:
    """Of uvicorn's connection: what reads its frames is a generator that waits for more of them, and holds it."""
    parser = getattr(getattr(protocol, "conn", None), "parser", None)
    if not hasattr(parser, "close") or not hasattr(protocol, "connection_lost"):
        return
    lost = protocol.connection_lost

    def connection_lost(error: Exception | None) -> None:
        del protocol.connection_lost
        lost(error)
        # another one by now, if the client has said that it leaves
        protocol.conn.parser.close()

    protocol.connection_lost = connection_lost


class Intake:
    """Counts what daphne puts into one socket's queue, and what is taken out."""

    __slots__ = ("_bytes", "_paused", "_put", "_queue", "_transport")

    def __init__(self, queue: asyncio.Queue[dict[str, Any]], transport: Any) -> None:
        self._queue = queue
        self._transport = transport
        self._bytes = 0
        self._paused = False
        self._put = queue.put_nowait
        queue.put_nowait = self._came  # type: ignore[method-assign]

    def end(self) -> None:
        """Count no more."""
        del self._queue.put_nowait

    def _came(self, item: dict[str, Any]) -> None:
        self._bytes += _size(item)
        self._put(item)
        if not self._paused and (self._bytes > BYTES or self._queue.qsize() > FRAMES):
            self._paused = True
            self._transport.pauseProducing()

    async def receive(self) -> dict[str, Any]:
        message = await self._queue.get()
        # what waited before we counted is the connect message, which has no size
        self._bytes -= _size(message)
        if self._paused and self._bytes <= BYTES // 2 and self._queue.qsize() <= FRAMES // 2:
            self._paused = False
            if not self._transport.disconnecting:
                self._transport.resumeProducing()
        return message


def _size(message: dict[str, Any]) -> int:
    return len(message.get("text") or message.get("bytes") or "")
