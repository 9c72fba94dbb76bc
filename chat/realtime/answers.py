"""From the lane's thread back to the event loop: many answers, one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.utils import translation
from django.utils.translation import gettext, gettext_noop

from chat.log.batch import Request
from chat.log.errors import DESCRIPTIONS
from chat.realtime import protocol
from chat.realtime.frame import Frame


class AnswerBridge:
    """Calls `receiver(request)` on the loop for each request finished in another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._finished: deque[tuple[Callable[[Request], None], Request]] = deque()
        self._planned = False

    def to(self, receiver: Callable[[Request], None]) -> Callable[[Request], None]:
        def done(request: Request) -> None:
            self._finished.append((receiver, request))
            if not self._planned:
                self._planned = True
                try:
                    self._loop.call_soon_threadsafe(self._flush)
                except RuntimeError:
                    # the loop has ended; whoever asked will ask again elsewhere
                    self._planned = False

        return done

    def _flush(self) -> None:
        self._planned = False
        while self._finished:
            receiver, request = self._finished.popleft()
            receiver(request)


@lru_cache(maxsize=4_000)
def _template(code: str, language: str) -> str:
    """The sentence of a code in a language, with its gaps. Kept: switching languages costs more than all the rest."""
    text = DESCRIPTIONS.get(code) or gettext_noop("That is not possible.")
    with translation.override(language or None):
        return gettext(text)


def sentence(code: str, params: dict[str, Any], language: str = "") -> str:
    """The human sentence of a code, in the reader's language."""
    translated = _template(code, language)
    readable = {
        name: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for name, v in params.items()
    }
    try:
        return translated.format(**readable)
    except (KeyError, IndexError, ValueError):
        return translated


def error_frame(error: BaseException, *, id: Any = None, language: str = "") -> Frame:
    """An `error` frame from a refusal."""
    code = getattr(error, "code", "server.error")
    params = getattr(error, "params", {})
    return protocol.encode(
        protocol.Error(
            code=code,
            message=sentence(code, params, language),
            id=id,
            params=params,
            temporary=getattr(error, "temporary", False),
            retry_after=getattr(error, "retry_after", None),
        )
    )
