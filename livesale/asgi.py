"""The ASGI application: HTTP by Django, `/ws/` by the realtime server of this process."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livesale.settings")

django_application = get_asgi_application()

from livesale.serving import server  # noqa: E402 - models exist only after django is set up

server.start()

application = ProtocolTypeRouter(
    {"http": django_application, "websocket": URLRouter([path("ws/", server.application)])}
)
