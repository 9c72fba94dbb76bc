"""Claims through real WebSockets: 500 connections of one event loop, on sockets of the kernel.

The generator writes and reads frames by hand, because a library's client would cost more than the fast servers do.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from django.core import signing

from chat.realtime.identity import Identity
from livesale.accounts.identity import ProjectIdentities
from tests import services
from tests.bench.orders.crowd import Crowd, Tally, Wish
from tests.bench.orders.inprocess import Pace
from tests.processes import LiveProcess, Server

# way → (server program, application)
SERVERS: dict[str, tuple[Server, str]] = {
    "ours-daphne": ("daphne", "livesale.asgi:application"),
    "ours-uvicorn": ("uvicorn", "livesale.asgi:application"),
    "stock-daphne": ("daphne", "tests.bench.orders.stock:application"),
}
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "daphne": (),
    "uvicorn": ("--ws-max-size", "65536", "--ws-per-message-deflate", "false"),
}
# Connections that are being opened at the same time, and how long that may take, in seconds.
_OPENING = 10
_PATIENCE = 30.0

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class _Frame(msgspec.Struct):
    """What is read of a server's frame."""

    type: str
    answer: dict[str, Any] | None = None
    code: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame. The mask is all zeros: legal, and it leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + b"\0\0\0\0" + payload


class Link(asyncio.Protocol):
    """One connection; `on_text` gets every text frame. `opened` is done when the server has agreed to talk."""

    def __init__(self, path: str, host: str, on_text: Callable[[Link, bytes], None]) -> None:
        self._path, self._host, self._on_text = path, host, on_text
        self._data = bytearray()
        self._upgraded = False
        self.transport: asyncio.Transport
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("refused"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._upgraded:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._data.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(bytes(self._data[:100]).decode("latin-1")))
                return
            self._upgraded = True
            del self._data[: end + 4]
            self.opened.set_result(None)
        while self._take():
            pass

    def _take(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        size, at = data[1], 2
        if size == 126:
            if len(data) < 4:
                return False
            size, at = int.from_bytes(data[2:4]), 4
        elif size == 127:
            if len(data) < 10:
                return False
            size, at = int.from_bytes(data[2:10]), 10
        if len(data) < at + size:
            return False
        opcode, payload = data[0] & 0xF, bytes(data[at : at + size])
        del data[: at + size]
        if opcode == _TEXT:
            self._on_text(self, payload)
        elif opcode == _PING:
            self.transport.write(frame(_PONG, payload))
        elif opcode == _CLOSE:
            self.transport.close()
        return True

    def send(self, payload: bytes) -> None:
        self.transport.write(frame(_TEXT, payload))


@contextmanager
def serving(way: str) -> Iterator[LiveProcess]:
    """A fresh server process on this process's database, ready to answer."""
    program, application = SERVERS[way]
    folder = services.temporary_folder("bench")
    process = LiveProcess(
        server=program,
        port=services.free_port(),
        env=os.environ,
        folder=folder,
        application=application,
        server_args=_ARGUMENTS[program],
    )
    try:
        process.start()
        yield process
    finally:
        process.kill9()
        services.remove_folder(folder)


def through_sockets(
    process: LiveProcess,
    way: str,
    crowd: Crowd,
    seconds: float,
    tally: Tally,
    *,
    before: Callable[[], None],
    after: Callable[[], None],
) -> Pace:
    """Open the connections, then claim for so many seconds: between `before` and `after`, only that counts.

    Who waits for an answer when time is up is cut off: a slow server would need half a minute for them.
    """
    links = Sockets(process.ws_url, crowd, tally, ours=way.startswith("ours"))
    return asyncio.run(links.run(seconds, before, after))


class Sockets:
    """A crowd's connections to one server process, opened once and used for the claims of one run."""

    def __init__(self, url: str, crowd: Crowd, tally: Tally, *, ours: bool) -> None:
        self._ours = ours
        self._address = urlsplit(url)
        self._crowd = crowd
        self._tally = tally
        self._links: list[Link] = []
        self._wishes: dict[Link, tuple[int, Wish]] = {}
        self._hellos: dict[Link, asyncio.Event] = {}
        self._over = False

    async def run(self, seconds: float, before: Callable[[], None], after: Callable[[], None]) -> Pace:
        gate = asyncio.Semaphore(_OPENING)

        async def one(slot: int) -> Link:
            async with gate, asyncio.timeout(_PATIENCE):
                return await self._open(slot)

        self._links = await asyncio.gather(*(one(slot) for slot in range(self._crowd.buyers)))
        try:
            before()
            started = time.perf_counter()
            for slot, link in enumerate(self._links):
                self._ask(link, slot, self._crowd.next(slot))
            await asyncio.sleep(seconds)
            self._over = True
            elapsed = time.perf_counter() - started
            after()
            self._tally.unanswered = len(self._wishes)
            return elapsed, 0.0
        finally:
            for link in self._links:
                with suppress(OSError):
                    link.transport.abort()

    async def _open(self, slot: int) -> Link:
        person = self._crowd.slots[slot][0]
        token = signing.dumps(person.hex)
        path = "/ws/" if self._ours else f"/ws/?token={quote(token)}"
        host, port = self._address.hostname or "", self._address.port or 0
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(path, f"{host}:{port}", self._heard), host, port
        )
        hello = self._hellos[link] = asyncio.Event()
        await link.opened
        if self._ours:
            await hello.wait()
            hello.clear()
            resume = ProjectIdentities().resume_token(Identity(person, "", 1))
            link.send(msgspec.json.encode({"type": "auth", "resume": resume}))
            await hello.wait()
        return link

    def _ask(self, link: Link, slot: int, wish: Wish) -> None:
        wish.sent_at = time.perf_counter()
        self._wishes[link] = (slot, wish)
        link.send(
            b'{"type":"do","id":"%b","stream":"%b","name":"%b","body":%b}'
            % (str(wish.client_id).encode(), str(wish.room).encode(), wish.name.encode(), wish.raw)
        )

    def _heard(self, link: Link, payload: bytes) -> None:
        heard = _decode(payload)
        if heard.type == "hello":
            self._hellos[link].set()
        if heard.type not in {"ack", "error"}:
            return
        if not self._over:
            slot, wish = self._wishes.pop(link)
            self._tally.take(wish, heard.answer, heard.code)
            self._ask(link, slot, self._crowd.after(slot, wish))
