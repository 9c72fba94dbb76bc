"""Where a request comes from. Only proxies that are known to be ours are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.core.internal.httpkit import clean_client_ip
from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address: what the outermost of TRUSTED_PROXIES proxies saw, else who is connected to us."""
    return _seen(request.headers.get("X-Forwarded-For", ""), str(request.META.get("REMOTE_ADDR", "")))


def address_in(scope: Mapping[str, Any]) -> str:
    """The same for an ASGI scope that is no request yet."""
    said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    connected, *_ = scope.get("client") or [""]
    return _seen(said.decode("latin1"), str(connected))


def _seen(forwarded: str, connected: str) -> str:
    trusted: int = settings.TRUSTED_PROXIES
    if trusted > 0:
        seen = forwarded.split(",")
        if len(seen) >= trusted:
            return clean_client_ip(seen[-trusted]) or ""
    return clean_client_ip(connected) or ""
