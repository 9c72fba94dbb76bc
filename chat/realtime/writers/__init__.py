"""How a frame gets from an outbox to the kernel: by the shortest way that the server under us allows.

An ASGI `send` costs a task switch and the server's own framing per socket; daphne's comes to some sixty microseconds,
of which the system call is four. A frame that is built once needs none of it, so daphne's and uvicorn's connections
are written to directly while nothing waits in their own buffers. What is not recognised, an encrypted connection or
another server, gets plain ASGI.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from chat.realtime.frame import Frame
from chat.realtime.writers.asgi import AsgiWriter
from chat.realtime.writers.daphne import DaphneWriter
from chat.realtime.writers.uvicorn import UvicornWriter

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Writer(Protocol):
    """The way to one client. All of it is called on the event loop, after the connection was accepted."""

    def write(self, frame: Frame) -> bool:
        """Take a frame, whole; False when earlier bytes have not reached the kernel yet, and this one must wait."""
        ...

    @staticmethod
    def write_all(writers: Sequence[Any], frame: Frame) -> Sequence[Any]:
        """The same frame to many writers of this kind. Returns those that must be asked one by one, by `write`."""
        ...

    def buffered(self) -> int:
        """Bytes that the server holds for the client, where that can be seen; else 0."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        ...

    def abort(self) -> None:
        """Drop the connection without another word: the other side does not read any more."""
        ...

    def end(self) -> None:
        """The application of the socket has ended: nothing of the writer's own may go on."""
        ...


def writer_for(send: Send, ready: Callable[[], None], *, plain: bool = False) -> Writer:
    """The best writer for the connection behind an ASGI `send`.

    `ready` is called when a writer that has refused a frame may take it now; the direct writers do not call it, they
    are asked again. `plain` asks for ASGI whatever the server.
    """
    if not plain:
        for kind in (UvicornWriter, DaphneWriter):
            try:
                found = kind.find(send)
            except Exception as error:
                # a name of the server that we do not own has changed its meaning
                logger.warning("%s cannot be used: %s", kind.__name__, type(error).__name__)
                continue
            if found is not None:
                return found
    return AsgiWriter(send, ready)
