"""Bodies arrive before requests are let in: who sends slowly takes nobody's place, and none arrives without bounds."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings

from chat.log.errors import Refused
from commerce.catalogue.media import MOST_BYTES
from livesale import uploads
from livesale.admission import Admission
from livesale.uploads import Gone, Uploads
from tests.processes import LiveProcess
from tests.rest.live import Browser

COMMAND = "/api/v1/rooms/join/"
PICTURE = "/api/v1/shops/eve/products/1/media/"


def sent_from(address: str = "192.0.2.1", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """The scope of a request with a body."""
    return {
        "type": "http",
        "path": COMMAND,
        "root_path": "",
        "client": (address, 4711),
        "headers": [*headers, (b"transfer-encoding", b"chunked")],
    }


SCOPE = sent_from()


class Sender:
    """The other side of `receive`: says its pieces, and then waits, or leaves."""

    def __init__(self, pieces: Iterable[bytes], *, ends: bool = True, leaves: bool = False) -> None:
        self._pieces = list(pieces)
        self._ends = ends
        self._leaves = leaves

    async def receive(self) -> dict[str, Any]:
        if not self._pieces:
            if self._leaves:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        return {
            "type": "http.request",
            "body": piece,
            "more_body": bool(self._pieces) or self._leaves or not self._ends,
        }


async def whole(receive: Callable[[], Any]) -> bytes:
    found = b""
    while True:
        message = await receive()
        found += message["body"]
        if not message["more_body"]:
            return found


@pytest.mark.parametrize("size", [0, 1, uploads.IN_MEMORY, uploads.IN_MEMORY + 1, uploads.BODY])
async def test_what_came_is_what_is_let_in(size: int):
    said = bytes(n % 251 for n in range(size))
    pieces = [said[at : at + 10_000] for at in range(0, size, 10_000)] or [b""]
    sender = Sender(pieces)
    body = await Uploads().take(sender.receive, COMMAND, SCOPE)
    assert await whole(body.receive) == said
    # whoever listens afterwards hears what the connection says
    sender._leaves = True
    assert (await body.receive())["type"] == "http.disconnect"
    body.close()


@pytest.mark.parametrize(
    ("path", "limit", "code"),
    [(COMMAND, uploads.BODY, "body.too_large"), (PICTURE, MOST_BYTES + uploads.BODY, "media.too_large")],
)
async def test_what_is_too_long_is_refused_when_it_has_been_said(path: str, limit: int, code: str):
    piece = b"x" * uploads.BODY
    sender = Sender([piece] * (limit // len(piece)) + [b"x"])
    with pytest.raises(Refused, match=code):
        await Uploads().take(sender.receive, path, SCOPE)
    assert sender._pieces == []
    just = await Uploads().take(Sender([piece] * (limit // len(piece))).receive, path, SCOPE)
    assert just.length == limit
    just.close()


async def test_who_leaves_or_takes_too_long_is_not_waited_for():
    some = Uploads(patience=0.01)
    with pytest.raises(Gone):
        await some.take(Sender([b"x"], leaves=True).receive, COMMAND, SCOPE)
    with pytest.raises(Refused, match=r"server\.busy"):
        await some.take(Sender([b"x"], ends=False).receive, COMMAND, SCOPE)
    # each leaves room for the next
    assert (some._arriving.taken, some._in_files.taken) == (0, 0)


def test_what_arrives_may_take_longer_than_what_stands_still():
    # a picture of a phone, on a slow day
    assert uploads.time_for(5 * 1024 * 1024) > 300
    assert uploads.time_for(100) < uploads.time_for(0) + 0.1


async def test_so_many_arrive_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "ARRIVING", 5)
    monkeypatch.setattr(uploads, "IN_FILES", 2)
    some = Uploads()
    addresses = (f"192.0.2.{n}" for n in itertools.count(1))

    async def slow(size: int) -> None:
        await some.take(Sender([b"x" * size], ends=False).receive, COMMAND, sent_from(next(addresses)))

    sending = [asyncio.create_task(slow(uploads.IN_MEMORY + 1)) for _ in range(3)]
    await asyncio.sleep(0)
    # the third that is long is told to come again; short ones are not kept out by long ones
    with pytest.raises(Refused, match=r"server\.busy"):
        await sending[2]
    short = sent_from("192.0.2.99")
    (await some.take(Sender([b"short"]).receive, COMMAND, short)).close()
    sending += [asyncio.create_task(slow(1)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match=r"server\.busy"):
        await some.take(Sender([b"short"]).receive, COMMAND, short)
    # who brings nothing is kept out by nobody
    (await some.take(Sender([b""]).receive, "/", {**SCOPE, "headers": []})).close()
    (await some.take(Sender([b""]).receive, "/", {**SCOPE, "headers": [(b"content-length", b"0")]})).close()
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    (await some.take(Sender([b"short"]).receive, COMMAND, short)).close()
    assert (some._arriving.taken, some._in_files.taken) == (0, 0)


@pytest.mark.parametrize("size", [1, uploads.IN_MEMORY + 1], ids=["short", "long"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_one_address_keeps_out_nobody_else(
    size: int, proxied: bool, monkeypatch: pytest.MonkeyPatch, settings: Any
):
    settings.TRUSTED_PROXIES = int(proxied)
    monkeypatch.setattr(uploads, "ARRIVING", 8)
    monkeypatch.setattr(uploads, "IN_FILES", 8)
    some = Uploads()

    async def send(address: str, *, ends: bool = False) -> None:
        scope = (
            sent_from("127.0.0.1", (b"x-forwarded-for", address.encode())) if proxied else sent_from(address)
        )
        (await some.take(Sender([b"x" * size], ends=ends).receive, COMMAND, scope)).close()

    sending = [asyncio.create_task(send("192.0.2.1")) for _ in range(8)]
    done, waiting = await asyncio.wait(sending, timeout=0.05)
    assert (len(done), len(waiting)) == (6, 2)
    for task in done:
        with pytest.raises(Refused, match=r"server\.busy"):
            task.result()
    await send("192.0.2.2", ends=True)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await send("192.0.2.1", ends=True)
    assert (some._arriving.taken, some._in_files.taken) == (0, 0)
    assert not some._arriving._taken


async def test_who_has_not_said_all_gets_an_answer_and_no_second_request():
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def nobody(*_: Any) -> None:
        raise AssertionError("it was let in")

    door = Admission(nobody, 1, always=())
    door._uploads = Uploads(patience=0.01)
    await door(SCOPE, Sender([b"x"], ends=False).receive, send)
    assert said[0]["status"] == 503
    assert (b"connection", b"close") in said[0]["headers"]
    assert b'"code":"server.busy"' in said[1]["body"]


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_slow_uploads_take_nobodys_place(
    server: str, live_processes: Callable[..., list[LiveProcess]]
) -> None:
    (process,) = live_processes(1, server=server)
    words = f"POST {COMMAND} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with ExitStack() as open_ones:
        slow = []
        for _ in range(3 * settings.REQUESTS_AT_ONCE):
            link = open_ones.enter_context(socket.create_connection(("127.0.0.1", process.port), 30))
            link.sendall(f"{words}Content-Length: 20\r\n\r\n{{".encode())
            slow.append(link)
        assert {Browser(process).call("GET", "/")[0] for _ in range(5)} == {200}
        # and whoever does go on is answered like everybody: here, that they are nobody
        slow[0].sendall(b" " * 18 + b"}")
        assert re.match(rb"HTTP/1.1 40[13] ", slow[0].recv(1000))
