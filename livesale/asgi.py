"""The ASGI application: HTTP by Django, `/ws/` by the realtime server of this process."""

from __future__ import annotations

import logging
import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livesale.settings")

django_application = get_asgi_application()

from chat.realtime.intake import bounded  # noqa: E402 - models exist only after django is set up
from livesale.admission import Admission  # noqa: E402
from livesale.checks import before_serving  # noqa: E402
from livesale.health import PROBES  # noqa: E402
from livesale.serving import server  # noqa: E402
from livesale.upkeep.caretaker import Caretaker  # noqa: E402

for message in before_serving():
    logging.getLogger(__name__).warning("%s", message)
server.start()
Caretaker().start()


async def _nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """A socket to any other address is refused, without a traceback."""
    await receive()
    await send({"type": "websocket.close"})


async def _socket(scope: Any, receive: Any, send: Any) -> None:
    with bounded(receive, send) as receive_some:
        await server.application(scope, receive_some, send)


# Channels routes ASGI applications with Django's path(), which is typed for views
_sockets: list[Any] = [path("ws/", _socket), re_path("", _nothing_here)]  # type: ignore[arg-type]

_requests = Admission(django_application, settings.REQUESTS_AT_ONCE, always=PROBES)
server.wait_for(_requests.finish)
_by_protocol = ProtocolTypeRouter({"http": _requests, "websocket": URLRouter(_sockets)})


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Where the site is mounted is for its settings to say: daphne would believe any client's `Daphne-Root-Path`."""
    # whoever comes first: a process that has seen no socket has requests to finish all the same
    if scope["type"] != "lifespan":
        server.open()
    here: Any = {**scope, "root_path": settings.FORCE_SCRIPT_NAME or ""}
    await _by_protocol(here, receive, send)
