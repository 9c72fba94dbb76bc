"""How a rule is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.checks import CheckMessage, Error, register

TAG = "livesale"

Rule = Callable[[], Iterable[CheckMessage]]


def rule(*, deploy: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule about settings; with `deploy` it speaks only in `check --deploy`."""

    def decorate(function: Rule) -> Rule:
        def check(app_configs: Any, **options: Any) -> list[CheckMessage]:
            return list(function())

        check.__name__ = function.__name__
        register(check, TAG, deploy=deploy)
        return function

    return decorate


def error(number: int, text: str, hint: str) -> Error:
    return Error(text, hint=hint, id=f"livesale.E{number:03d}")
