"""The realtime server of this process, composed: chat's wire with the project's identities."""

from __future__ import annotations

from django.conf import settings

from chat.realtime.server import Server
from livesale.accounts.identity import OriginGuard, ProjectIdentities

server = Server(
    identities=ProjectIdentities(),
    guard=OriginGuard(),
    session_cookie=settings.SESSION_COOKIE_NAME,
    features=["replay", "claims", "values"],
)
