"""uvicorn: its connection is the protocol object behind `send`; frames go to the descriptor of its transport.

Works with `--ws auto` and `--ws websockets-sansio`, with uvloop and with asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from operator import call
from typing import TYPE_CHECKING, Any

from chat.realtime.frame import Frame
from chat.realtime.writers.kernel import limit_send_buffer, write_to, write_to_all

if TYPE_CHECKING:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# How long what is left in the server's buffer may take after the application has ended, in seconds.
LAST_BYTES = 3.0


class UvicornWriter:
    """Writes to the kernel while uvicorn's transport has nothing waiting.

    The transport closes its descriptor only after `is_closing()` has become true, and both happen on this loop: what
    is asked before a write still holds during it, as long as nothing else runs on the loop.

    It is written to by a socket object of our own, because send() costs the kernel less than write(). The descriptor
    stays the transport's: ours lets go of it when it ends, and never closes it.
    """

    __slots__ = ("_buffered", "_closing", "_connection", "_protocol", "_send", "_transport", "leave")

    def __init__(self, protocol: WebSocketsSansIOProtocol, fd: int) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._closing = protocol.transport.is_closing
        self._buffered = protocol.transport.get_write_buffer_size
        self.leave = protocol.transport.write
        self._connection = socket.socket(fileno=fd)
        self._connection.setblocking(False)
        self._send = self._connection.send

    @classmethod
    def find(cls, send: Any) -> UvicornWriter | None:
        """The writer of the connection behind this `send`; None when it is not one that we know."""
        protocol = getattr(send, "__self__", None)
        if protocol is None or type(protocol).__name__ != "WebSocketsSansIOProtocol":
            return None
        transport = protocol.transport
        if (
            transport.get_extra_info("sslcontext") is not None
            or not isinstance(protocol.close_sent, bool)
            or not isinstance(protocol.handshake_complete, bool)
        ):
            return None
        connection = transport.get_extra_info("socket")
        if connection is None or connection.type != socket.SOCK_STREAM:
            return None
        limit_send_buffer(connection)
        return cls(protocol, connection.fileno())

    def write(self, frame: Frame) -> bool:
        if self._buffered():
            return False
        if self._closing() or self._protocol.close_sent:
            # nobody is there any more: the reader hears of it in a moment
            return True
        write_to(self, frame.wire, call, self._send)
        return True

    @staticmethod
    def write_all(writers: Sequence[UvicornWriter], frame: Frame) -> list[UvicornWriter]:
        free = [w for w in writers if not (w._buffered() or w._closing() or w._protocol.close_sent)]
        return write_to_all(writers, free, frame.wire, call, [w._send for w in free])

    async def close(self, code: int, reason: str) -> None:
        if not self._closing() and not self._protocol.close_sent:
            await self._protocol.send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        self._transport.abort()

    def buffered(self) -> int:
        return self._buffered()

    def end(self) -> None:
        """uvicorn closes the connection when its buffer is empty: never, if nobody reads."""
        self._connection.detach()
        if self._buffered():
            asyncio.get_running_loop().call_later(LAST_BYTES, self._transport.abort)
