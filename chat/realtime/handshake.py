"""What a client says as its socket opens: which wire, which language, from which page, who."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from django.utils.translation import get_supported_language_variant

from chat.realtime import protocol
from chat.realtime.closing import CloseCode
from chat.realtime.identity import Identity, RequestGuard
from chat.realtime.joining import Desk

logger = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """Who has come: the cookie's person, or None for a guest."""

    identity: Identity | None = None
    language: str = ""
    refused: CloseCode | None = None
    """Why this client cannot be served."""


async def meet(scope: dict[str, Any], guard: RequestGuard, session_cookie: str, desk: Desk) -> Arrival:
    """Judge an opening handshake by its ASGI scope. Never raises, whatever a client says."""
    if not protocol.OLDEST <= _protocol(scope.get("query_string", b"")) <= protocol.VERSION:
        return Arrival(refused=CloseCode.TOO_OLD)
    headers = dict(scope.get("headers", []))
    language = known_language(_header(headers, b"accept-language"))
    origin = _header(headers, b"origin")
    if not origin:
        # not a browser: the cookie counts for nothing, a ticket is needed
        return Arrival(None, language)
    secure = scope.get("scheme") in {"wss", "https"}
    if not guard.origin_allowed(origin, _header(headers, b"host"), secure):
        return Arrival(None, language, CloseCode.ORIGIN)
    session_key = _cookie(_header(headers, b"cookie"), session_cookie)
    if not session_key:
        return Arrival(None, language)
    try:
        return Arrival(await desk.from_session(session_key), language)
    except Exception as error:
        # not a guest: a client that comes back in a moment is still signed in
        logger.warning("a session could not be read: %s", type(error).__name__)
        return Arrival(None, language, CloseCode.BUSY)


def origin_of(scope: dict[str, Any]) -> str:
    """The page that opened the socket; '' when it is not a browser's."""
    return _header(dict(scope.get("headers", [])), b"origin")


def _header(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def known_language(header: str) -> str:
    """The first language of an Accept-Language header, if it is one that Django knows; else ''."""
    wanted = header.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip()
    try:
        return get_supported_language_variant(wanted) if wanted else ""
    except LookupError:
        return ""


def _cookie(header: str, name: str) -> str:
    for pair in header.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""


def _protocol(query: bytes) -> int:
    """The version that a client says it speaks; 0 when what it says is no number."""
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == b"protocol":
            return int(value) if value.isdigit() and len(value) < 6 else 0
    return 1
