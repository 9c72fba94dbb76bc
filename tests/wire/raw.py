"""A WebSocket client with nothing between the test and the bytes: it may break every rule of RFC 6455.

Blocking sockets, one thread: what is sent is exactly what a test wrote, and what comes back is parsed strictly, so a
server that breaks a rule fails here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

from tests import services

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
# Nothing here takes this long; it only ends a test that would hang.
PATIENCE = 10.0
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Cut(Exception):
    """The other side has ended the TCP connection."""


class RulesBroken(AssertionError):
    """The server has sent what RFC 6455 forbids a server to send."""


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    claimed: int | None = None,
    wide: bool = False,
) -> bytes:
    """A client's frame.

    `mask=None`: not masked; `claimed`: a length other than the true one; `wide`: the length in 64 bits.
    """
    length = len(payload) if claimed is None else claimed
    first = (0x80 if fin else 0) | (reserved << 4) | opcode
    masked = 0 if mask is None else 0x80
    if wide or length >= 1 << 16:
        head = struct.pack("!BBQ", first, masked | 127, length)
    elif length > 125:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BB", first, masked | length)
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + hidden.to_bytes(len(payload), "big")


def text(said: Any, **options: Any) -> bytes:
    """A text frame: of a string as it is, of anything else as JSON."""
    return frame(TEXT, (said if isinstance(said, str) else json.dumps(said)).encode(), **options)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Heard:
    """One frame from the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def json(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.payload.decode(), parse_constant=_no_json)
        return said


def _no_json(name: str) -> None:
    raise RulesBroken(f"{name} is no JSON")


@dataclass(frozen=True)
class Answer:
    """What the server said to a handshake."""

    status: int
    headers: dict[str, str]


class RawLink:
    """One TCP connection to a server."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self.port = port
        self._socket = socket.create_connection((services.HOST, port), timeout=patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    # --- bytes ------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write; a server that has gone already is found out about by reading."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def end_of_ours(self) -> None:
        """Send no more, and read on."""
        self._socket.shutdown(socket.SHUT_WR)

    def _more(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            raise Cut from None
        if not data:
            raise Cut
        self._buffer += data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    # --- the handshake ----------------------------------------------------------------------------------------------

    def request(
        self, path: str = "/ws/", *, leave_out: str = "", line: str = "", body: bytes = b"", **changed: str
    ) -> bytes:
        """A handshake. `Sec_WebSocket_Key="x"` changes or adds a header, `leave_out` names one that is not sent."""
        headers = {
            "Host": f"{services.HOST}:{self.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        headers.pop(leave_out, None)
        lines = [line or f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def answer(self) -> Answer:
        """Read the head of an answer to a handshake."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return Answer(int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})

    def open(self, path: str = "/ws/", **changed: str) -> Self:
        """A whole handshake, checked as a client must check it."""
        request = self.request(path, **changed)
        key = next(
            line[19:] for line in request.decode().split("\r\n") if line.startswith("Sec-WebSocket-Key: ")
        )
        self.send(request)
        answer = self.answer()
        wanted = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
        if answer.status != 101 or answer.headers.get("sec-websocket-accept") != wanted:
            raise RulesBroken(f"no handshake: {answer}")
        if "sec-websocket-extensions" in answer.headers:
            raise RulesBroken("an extension that was not asked for")
        return self

    # --- frames -----------------------------------------------------------------------------------------------------

    def hear(self) -> Heard:
        """The next frame. Raises `Cut` at the end of the connection, `RulesBroken` for what no server may send."""
        first, second = self._take(2)
        opcode, length = first & 0x0F, second & 0x7F
        if not first & 0x80 or first & 0x70 or second & 0x80 or opcode not in {TEXT, CLOSE, PING, PONG}:
            raise RulesBroken(
                f"in parts, with reserved bits, masked or of a kind not spoken here: {first:#x}"
            )
        if opcode >= CLOSE and length > 125:
            raise RulesBroken("a control frame that is too long")
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        payload = self._take(length)
        if opcode == TEXT:
            payload.decode()
        if opcode == CLOSE and payload:
            if length == 1:
                raise RulesBroken("half a close code")
            payload[2:].decode()
        return Heard(opcode, payload)

    def told(self) -> dict[str, Any]:
        """The next text frame but for beats, which come when they come."""
        while True:
            heard = self.hear()
            if heard.opcode == TEXT and heard.json["type"] != "beat":
                return heard.json
