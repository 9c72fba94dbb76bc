"""An ASGI application that is nothing but outboxes: a client says what it wants to be sent.

`{"send": bytes, "count": n}` · the same with `"all": true`, to everybody who is there ·
`{"close": code, "flush": bool}`; GET /state tells what waits, GET /kick closes all, GET /collector/off and /on
switch the garbage collector and tell how many connections there are, those that only it could find among them.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
from typing import Any

from chat.realtime.closing import CloseCode
from chat.realtime.frame import Frame
from chat.realtime.intake import bounded
from chat.realtime.outbox import Backlog, Outbox, write_at_once
from chat.realtime.writers import writer_for

backlog: list[Backlog] = []
outboxes: dict[Outbox, str] = {}
ended: list[str] = []
# What is made for one: by daphne, and by Twisted for it; by uvicorn, and by websockets for it; by us.
CONNECTIONS = {
    "WebSocketProtocol",
    "HTTPChannel",
    "WebRequest",
    "WebSocketsSansIOProtocol",
    "ServerProtocol",
    "Intake",
    "Outbox",
}


def frame(number: int, size: int) -> Frame:
    """A payload of `size` bytes that says its number and proves that it is whole."""
    head = f"{number}:".encode()
    body = hashlib.sha256(head).hexdigest().encode()
    return Frame((head + body * (size // 64 + 1))[: max(size, len(head))])


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await _told(scope["path"], send)
    elif scope["type"] == "websocket":
        with bounded(receive, send) as receive_some:
            await _served(scope, receive_some, send)


async def _told(path: str, send: Any) -> None:
    if path == "/kick":
        for outbox in list(outboxes):
            outbox.close(CloseCode.SIGN_IN_AGAIN, Frame(b"bye"))
    if path.startswith("/collector/"):
        gc.collect()
        if path.endswith("/off"):
            gc.disable()
        else:
            gc.enable()
    with open("/proc/self/status") as status:
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    state = {
        "open": [[kind, outbox.waiting] for outbox, kind in outboxes.items()],
        "ended": ended,
        "waiting": len(backlog[0]) if backlog else 0,
        "rss_kib": rss,
        "connections": sum(type(o).__name__ in CONNECTIONS for o in gc.get_objects()),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(state).encode()})


async def _served(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if not backlog:
        backlog.append(Backlog())
    running = asyncio.current_task()
    given_up = False

    def give_up() -> None:
        nonlocal given_up
        given_up = True
        assert running is not None
        running.cancel()

    outbox = Outbox(backlog[0], give_up)
    await receive()
    await send({"type": "websocket.accept"})
    writer = writer_for(send, outbox.drain, plain=scope["query_string"] == b"plain")
    outbox.open(writer)
    outboxes[outbox] = type(writer).__name__
    number = 0
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            wish = json.loads(message["text"])
            for _ in range(wish.get("count", 0)):
                made = frame(number, wish["send"])
                number += 1
                if wish.get("all"):
                    for left in write_at_once(list(outboxes), made):
                        left.put(made)
                else:
                    outbox.put(made)
            if "close" in wish:
                outbox.close(CloseCode(wish["close"]), Frame(b"bye"), flush=wish["flush"])
    except asyncio.CancelledError:
        if not given_up:
            raise
    finally:
        ended.append(outbox.closing.name if outbox.closing else "left")
        outbox.end()
        del outboxes[outbox]
