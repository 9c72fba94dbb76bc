"""The project with other numbers: LIVESALE_TEST_NUMBERS="chat.realtime.limits.SILENCE=2 …", set before it begins.

For what takes a minute in life. A test that uses it holds the real numbers against what is promised.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import django

django.setup()
for said in os.environ.get("LIVESALE_TEST_NUMBERS", "").split():
    where, _, number = said.partition("=")
    module, _, name = where.rpartition(".")
    found = importlib.import_module(module)
    assert isinstance(getattr(found, name), float), f"{where} is no number"
    setattr(found, name, float(number))

# it begins to serve, and to wait, when it is imported
from livesale.asgi import application as project  # noqa: E402


async def application(scope: Any, receive: Any, send: Any) -> None:
    await project(scope, receive, send)
