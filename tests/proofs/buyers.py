"""Buyers on real sockets: many commands in flight, every answer kept by its client id, unanswered ones sent again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uuid_utils.compat import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

Body = dict[str, Any]


@dataclass
class Sent:
    stream: str
    name: str
    body: Body
    # how often it went out
    times: int = 0


@dataclass
class Book:
    """What all buyers together have sent and heard."""

    sent: dict[str, Sent] = field(default_factory=dict)
    acks: dict[str, Body] = field(default_factory=dict)
    # answered as repeated though no answer had been heard before: committed, but the answer was lost
    unheard: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    # answers of all kinds, by the address that gave them
    answered: Counter[str] = field(default_factory=Counter)
    # the numbers with which servers closed sockets; 1006 where they did so without a word
    closed: list[int] = field(default_factory=list)

    def codes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for code in self.refused.values():
            found[code] = found.get(code, 0) + 1
        return found


class Buyer:
    """One person on one socket. A lost socket is replaced by one to the next address, and what is open goes again."""

    def __init__(self, book: Book, addresses: list[str], ticket: str, *, at: int = 0) -> None:
        self.book = book
        self._addresses = addresses
        self._at = at
        self._auth: Body = {"ticket": ticket}
        self._link: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self.open: dict[str, Sent] = {}
        self.mine: dict[str, Sent] = {}
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._ended = False
        self.on_ack: Callable[[Buyer, Sent, Body], None] = lambda buyer, sent, answer: None

    @property
    def address(self) -> str:
        return self._addresses[self._at % len(self._addresses)]

    async def start(self) -> None:
        self._reader = asyncio.create_task(self._live())
        async with asyncio.timeout(60):
            await self._ready.wait()

    async def stop(self) -> None:
        self._ended = True
        if self._reader is not None and self._reader.done():
            self._reader.result()  # what ended it
        if self._link is not None:
            await self._link.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _live(self) -> None:
        while not self._ended:
            try:
                async with connect(
                    f"{self.address}/ws/", proxy=None, compression=None, ping_interval=None, open_timeout=10
                ) as link:
                    self._link = link
                    await self._begin(link)
                    while True:
                        self._hear(json.loads(await link.recv()))
            except (OSError, ConnectionClosed, TimeoutError) as lost:
                if isinstance(lost, ConnectionClosed) and not self._ended:
                    self.book.closed.append(lost.rcvd.code if lost.rcvd else 1006)
                self._ready.clear()
                self._at += 1
                await asyncio.sleep(0.05)
            except (WebSocketException, EOFError):  # a killed server may cut a handshake anywhere
                self._at += 1
                await asyncio.sleep(0.05)

    async def _begin(self, link: ClientConnection) -> None:
        await link.send(json.dumps({"type": "auth", **self._auth}))
        while True:
            frame = json.loads(await link.recv())
            if frame["type"] == "hello" and frame.get("you"):
                self._auth = {"resume": frame["resume"]}
                break
            if frame["type"] == "error":
                raise AssertionError(f"not let in: {frame}")
        gone: set[str] = set()
        # while these go out, more may be asked for; nothing may slip in between the last look and `ready`
        while missing := [i for i in self.open if i not in gone]:
            for client_id in missing:
                gone.add(client_id)
                if sent := self.open.get(client_id):
                    await self._send(link, client_id, sent)
        self._ready.set()

    async def _send(self, link: ClientConnection, client_id: str, sent: Sent) -> None:
        sent.times += 1
        frame = {"type": "do", "id": client_id, "stream": sent.stream, "name": sent.name, "body": sent.body}
        await link.send(json.dumps(frame))

    async def do(self, stream: str, name: str, body: Body, client_id: str = "") -> str:
        """Send a command; its answer comes to the book."""
        client_id = client_id or str(uuid7())
        sent = self.open[client_id] = self.mine[client_id] = self.book.sent[client_id] = Sent(
            stream, name, body
        )
        if self._ready.is_set() and self._link is not None:
            with contextlib.suppress(ConnectionClosed):  # then it goes again on the next socket
                await self._send(self._link, client_id, sent)
        return client_id

    def _hear(self, frame: Body) -> None:
        client_id = frame.get("id")
        if frame["type"] not in {"ack", "error"} or client_id not in self.open:
            if frame["type"] == "error" and client_id is None:
                self.book.wrong.append(str(frame))
            return
        if frame["type"] == "error" and frame.get("temporary"):
            later = frame.get("retry_after") or 0.2
            asyncio.get_running_loop().call_later(later, self._again, client_id)
            return
        sent = self.open.pop(client_id)
        self.book.answered[self.address] += 1
        if frame["type"] == "error":
            self.book.refused[client_id] = frame["code"]
        else:
            self._acknowledged(client_id, sent, frame)
        self._news.set()

    def _acknowledged(self, client_id: str, sent: Sent, frame: Body) -> None:
        answer, known = frame["answer"], self.book.acks.get(client_id)
        if known is not None and known != answer:
            self.book.wrong.append(f"{client_id} was answered {known}, then {answer}")
        if known is not None and not frame.get("repeated"):
            self.book.wrong.append(f"{client_id} was carried out twice")
        if known is None and frame.get("repeated"):
            self.book.unheard.add(client_id)
        self.book.acks[client_id] = answer
        self.on_ack(self, sent, answer)

    def _again(self, client_id: str) -> None:
        sent = self.open.get(client_id)
        if sent is not None and self._link is not None and self._ready.is_set():
            self._sending = asyncio.ensure_future(self._try_again(client_id, sent))

    async def _try_again(self, client_id: str, sent: Sent) -> None:
        assert self._link is not None
        with contextlib.suppress(ConnectionClosed):
            await self._send(self._link, client_id, sent)

    async def until_open(self, most: int) -> None:
        """Wait until at most so many commands are without an answer."""
        while len(self.open) > most:
            self._news.clear()
            try:
                async with asyncio.timeout(60):
                    await self._news.wait()
            except TimeoutError:
                raise AssertionError(f"no answer for a minute to {list(self.open.values())[:3]}") from None


class Pace:
    """At most `rate` per second on average, `burst` at once: stays within what the server tells in its hello."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst, self._tokens, self._at = rate, burst, burst, time.monotonic()

    async def step(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
