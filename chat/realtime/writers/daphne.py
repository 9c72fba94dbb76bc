"""daphne: its connection is bound into `send`; frames go to the socket of its Twisted transport.

`dataBuffer`, `offset` and `_tempDataLen` are what Twisted keeps of a write that the kernel did not take, `_aborting`
that a connection is about to be dropped: names of its own, so they are looked for, and without them daphne is served by
plain ASGI.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from operator import call
from typing import Any

from chat.realtime.frame import Frame
from chat.realtime.writers.kernel import limit_send_buffer, write_to, write_to_all


class DaphneWriter:
    """Writes to the kernel while Twisted has nothing waiting, and hands it what was written in part."""

    __slots__ = ("_open", "_protocol", "_send", "_transport", "leave")

    def __init__(self, protocol: Any, transport: Any) -> None:
        self._protocol = protocol
        self._transport = transport
        self._open = protocol.STATE_OPEN
        # a socket object that was closed refuses; its number may belong to somebody else by now
        self._send = transport.socket.send
        self.leave = transport.write

    @classmethod
    def find(cls, send: Any) -> DaphneWriter | None:
        """The writer of the connection behind this `send`; None when it is not one that we know."""
        if not isinstance(send, functools.partial) or not send.args:
            return None
        protocol = send.args[0]
        if not hasattr(protocol, "handshake_deferred") and not hasattr(protocol, "STATE_OPEN"):
            return None
        # loaded by daphne; another server may run without Twisted
        from autobahn.twisted.websocket import WebSocketServerProtocol
        from twisted.internet.tcp import Connection

        transport = getattr(protocol, "transport", None)
        if (
            not isinstance(protocol, WebSocketServerProtocol)
            or not isinstance(transport, Connection)
            or transport.TLS
            or not isinstance(transport.dataBuffer, bytes)
            or not isinstance(transport._tempDataLen, int)
            or not isinstance(transport.offset, int)
            or not isinstance(transport._aborting, bool)
            or protocol.send_queue
            or getattr(protocol, "logFrames", False)
        ):
            return None
        limit_send_buffer(transport.socket)
        return cls(protocol, transport)

    def write(self, frame: Frame) -> bool:
        transport = self._transport
        if transport.dataBuffer or transport._tempDataLen:
            return False
        if self._protocol.state != self._open or transport._aborting:
            # nobody is there any more: the reader hears of it in a moment
            return True
        write_to(self, frame.wire, call, self._send)
        return True

    @staticmethod
    def write_all(writers: Sequence[DaphneWriter], frame: Frame) -> list[DaphneWriter]:
        free = [
            w
            for w in writers
            if not (
                (t := w._transport).dataBuffer
                or t._tempDataLen
                or t._aborting
                or w._protocol.state != w._open
            )
        ]
        return write_to_all(writers, free, frame.wire, call, [w._send for w in free])

    async def close(self, code: int, reason: str) -> None:
        self._protocol.handle_reply({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        self._transport.abortConnection()

    def buffered(self) -> int:
        transport = self._transport
        return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)

    def end(self) -> None:
        """daphne's close handshake has a time limit of its own."""
