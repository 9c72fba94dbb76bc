"""The realtime server of this process, composed: chat's wire with the project's identities."""

from __future__ import annotations

from django.conf import settings

from chat.realtime.server import Server
from livesale.accounts.identity import OriginGuard, ProjectIdentities


def _features() -> list[str]:
    """What this installation can do, told in every hello: the ways to pay among it."""
    ways = ["pay.manual"]
    if settings.LIVESALE_SANDBOX_ENABLED:
        ways.append("pay.sandbox")
    return ["replay", "standing", "claims", "values", *ways]


server = Server(
    identities=ProjectIdentities(),
    guard=OriginGuard(),
    session_cookie=settings.SESSION_COOKIE_NAME,
    features=_features(),
    plain_asgi=settings.FRAME_WRITER == "asgi",
)
