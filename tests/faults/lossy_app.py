"""The project on a lossy layer: `/counted` tells what was lost, LIVESALE_TEST_NO_REPAIR leaves all repair out."""

from __future__ import annotations

import os
from typing import Any

from livesale.asgi import application as project
from livesale.serving import server
from tests.faults.lossy import counted


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/counted":
        hub = server.hub_or_none
        told = counted | {"filled": hub.log.filled if hub else 0}
        body = " ".join(f"{name}={number}" for name, number in told.items()).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        )
        await send({"type": "http.response.body", "body": body})
        return
    if scope["type"] == "websocket" and os.environ.get("LIVESALE_TEST_NO_REPAIR"):
        server.open()
        server.hub.log.repair = False
    await project(scope, receive, send)
