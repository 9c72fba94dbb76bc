"""The naive claim behind a stock Channels consumer: what a team would have after its first week. An ASGI application.

It speaks the frames of ours (`do` in, `ack` or `error` out). It is given what helps it: a database connection that is
kept, a signed token instead of a session look-up, nobody to tell of the claim.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livesale.settings")
django.setup()

from channels.db import database_sync_to_async  # noqa: E402 - models exist only after django is set up
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core import signing  # noqa: E402
from django.db import connections  # noqa: E402
from django.urls import path  # noqa: E402

from tests.bench.orders import naive, rows  # noqa: E402
from tests.livez_app import application as livez  # noqa: E402

# as it is, Channels would open a new connection for every claim
connections.settings["default"]["CONN_MAX_AGE"] = None


class Claims(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode())
        self.person = UUID(signing.loads(query["token"][0]))
        await self.accept()

    async def receive_json(self, content: Any, **_: Any) -> None:
        try:
            answer = await database_sync_to_async(naive.place_claim)(
                UUID(content["stream"]), self.person, UUID(content["id"]), content["body"]
            )
        except rows.Refused as refusal:
            await self.send_json({"type": "error", "id": content["id"], "code": refusal.code})
        else:
            await self.send_json({"type": "ack", "id": content["id"], "answer": answer})


# Channels routes ASGI applications with Django's path(), which is typed for views
_sockets: list[Any] = [path("ws/", Claims.as_asgi())]  # type: ignore[arg-type]
application = ProtocolTypeRouter({"http": livez, "websocket": URLRouter(_sockets)})
