"""The body of a request, received before the request is let in.

Whoever sends slowly would hold a place that others wait for; twelve of them all places of a process. So bodies are
received first, within bounds of length, number and time, and who is let in has said everything.
Servers that receive whole bodies before they ask us (daphne) lose nothing by it. What has no
body is kept out by nobody's.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any

from chat.log.errors import Refused, busy
from commerce.catalogue.media import MOST_BYTES
from livesale.accounts.address import address_in

Receive = Callable[[], Awaitable[Any]]

# What is kept of a body: the proxies' samples say the same.
BODY = 1024 * 1024
PICTURE = BODY + MOST_BYTES
_PICTURES = re.compile(r"^/api/v1/shops/[^/]+/.*media/$")
# A body is in memory up to so many bytes; what is longer is in a file.
IN_MEMORY = PIECE = 64 * 1024
# Bodies that may arrive at a time, and those of them that are in files.
ARRIVING = 1000
IN_FILES = 32
# One address may have one place of so many.
SHARE = 4
# How long a body may take, in seconds, and how many bytes are worth one second more: a phone is slow with a picture.
PATIENCE = 15.0
PER_SECOND = 16 * 1024


def time_for(length: int, patience: float = PATIENCE) -> float:
    """How long a body may take of which so much has come: who sends a byte now and then gets no time by it."""
    return patience + length / PER_SECOND


class Gone(Exception):
    """Who sent it has left."""


class Body:
    """What was received, to be received again, and then whatever follows."""

    def __init__(self, receive: Receive) -> None:
        self.length = 0
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - `close` is for who takes us
        self._receive = receive
        self._told = False

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def rewind(self) -> None:
        self._file.seek(0)

    def close(self) -> None:
        self._file.close()

    async def receive(self) -> Any:
        if self._told:
            return await self._receive()
        piece = self._file.read(PIECE)
        more = self._file.tell() < self.length
        self._told = not more
        return {"type": "http.request", "body": piece, "more_body": more}


def has_body(scope: Mapping[str, Any]) -> bool:
    """Whether something follows the headers of this request, as they say."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


class Places:
    """So many at a time, and a share of them for one address: one sender keeps out nobody else."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self.taken = 0

    def enter(self, address: str) -> None:
        if self.taken >= self._most or self._taken[address] >= max(1, self._most // SHARE):
            raise busy()
        self.taken += 1
        self._taken[address] += 1

    def leave(self, address: str) -> None:
        self.taken -= 1
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]


class Uploads:
    """The bodies that are arriving at one process."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._arriving = Places(ARRIVING)
        self._in_files = Places(IN_FILES)

    async def take(self, receive: Receive, path: str, scope: Mapping[str, Any]) -> Body:
        """Receive the body of a request to `path`; the caller closes it. Raises `Gone` or `Refused`."""
        if not has_body(scope):
            return await self._received(receive, 0, "")
        address = address_in(scope)
        self._arriving.enter(address)
        try:
            return await self._received(receive, PICTURE if _PICTURES.match(path) else BODY, address)
        finally:
            self._arriving.leave(address)

    async def _received(self, receive: Receive, limit: int, address: str) -> Body:
        body = Body(receive)
        try:
            await self._fill(body, receive, limit, address)
        except BaseException:
            body.close()
            raise
        finally:
            if body.length > IN_MEMORY:
                self._in_files.leave(address)
        body.rewind()
        return body

    async def _fill(self, body: Body, receive: Receive, limit: int, address: str) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(began + time_for(0, self._patience)) as deadline:
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    more = message.get("more_body", False)
                    self._count(body, len(message.get("body", b"")), address)
                    # what is over the limit is thrown away as it comes: who still sends would not hear an answer
                    if body.length <= limit:
                        body.write(message.get("body", b""))
                        deadline.reschedule(began + time_for(body.length, self._patience))
        except TimeoutError:
            raise busy() from None
        if body.length > limit:
            if limit == PICTURE:
                raise Refused("media.too_large", most=MOST_BYTES)
            raise Refused("body.too_large", limit=limit)

    def _count(self, body: Body, more: int, address: str) -> None:
        if body.length <= IN_MEMORY < body.length + more:
            self._in_files.enter(address)
        body.length += more
