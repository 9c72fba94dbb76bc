"""Where a request comes from. Only proxies that are known to be ours are believed."""

from __future__ import annotations

from allauth.core.internal.httpkit import clean_client_ip
from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address: what the outermost of TRUSTED_PROXIES proxies saw, else who is connected to us."""
    trusted: int = settings.TRUSTED_PROXIES
    if trusted > 0:
        seen = request.headers.get("X-Forwarded-For", "").split(",")
        if len(seen) >= trusted:
            return clean_client_ip(seen[-trusted]) or ""
    return clean_client_ip(str(request.META.get("REMOTE_ADDR", ""))) or ""
