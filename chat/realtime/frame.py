"""A text frame of RFC 6455 as a server sends it: unmasked, in one piece, the same bytes for everybody."""

from __future__ import annotations


class Frame:
    """A frame that is encoded once and written to any number of sockets.

    `payload` is the JSON text in UTF-8, `wire` the bytes that go over the connection: header and payload.
    """

    __slots__ = ("payload", "wire")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.wire = _header(len(payload)) + payload

    def __len__(self) -> int:
        """Bytes on the connection."""
        return len(self.wire)


# FIN and the opcode of text, no reserved bits: an uncompressed frame is right even where deflate was negotiated
# (RFC 7692, section 6).
_TEXT = b"\x81"


def _header(length: int) -> bytes:
    if length < 126:
        return _TEXT + length.to_bytes(1, "big")
    if length < 1 << 16:
        return _TEXT + b"\x7e" + length.to_bytes(2, "big")
    return _TEXT + b"\x7f" + length.to_bytes(8, "big")
