"""Mixes of settings that cannot be right are refused: by `manage.py check`, and by a server before it serves.

Each rule has an id; `SILENCED_SYSTEM_CHECKS` lets an operator overrule one knowingly.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

# each registers its rules
from livesale.checks import database, keeping, layer, programs, visitors  # noqa: F401
from livesale.checks.rule import TAG


def before_serving() -> list[CheckMessage]:
    """Run the rules as a server starts; returns the warnings. Raises `ImproperlyConfigured` for errors."""
    with ThreadPoolExecutor(1) as thread:  # some servers import the application inside their event loop
        found = thread.submit(_run_all).result()
    spoken = [message for message in found if not message.is_silenced()]
    serious = [message for message in spoken if message.is_serious()]
    if serious:
        raise ImproperlyConfigured("\n".join(str(message) for message in serious))
    return spoken


def _run_all() -> list[CheckMessage]:
    try:
        return run_checks(tags=[TAG], databases=list(settings.DATABASES))
    finally:
        connections.close_all()
