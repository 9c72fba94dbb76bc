"""What is installed, and the server program that runs us."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from django.core.checks import CheckMessage, Warning

from chat.realtime.limits import FRAME
from livesale.checks.rule import error, rule

# The longest frame in bytes: a character may take four.
FRAME_BYTES = 4 * FRAME
DAPHNE_FRAME = 1024 * 1024
UVICORN_FRAME = 16 * 1024 * 1024
# Versions before these have holes that are known to everybody.
OLDEST = {
    "Django": ("5.2.13", "a client could forge headers of the proxy, and bodies had no bound"),
    "daphne": ("4.2.2", "frames had no bound"),
}


@rule()
def known_holes_are_closed() -> Iterator[CheckMessage]:
    for package, (oldest, why) in OLDEST.items():
        found = version(package)
        if _numbers(found) < _numbers(oldest):
            yield error(
                22,
                f"{package} {found} is installed; before {oldest} {why}.",
                "Install what requirements/run.txt pins.",
            )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def frame_limit(argv: Sequence[str]) -> int | None:
    """The longest frame that the server program of this process takes, in bytes; None where it cannot be seen."""
    program = Path(argv[0]).stem if argv else ""
    if program == "__main__":
        program = Path(argv[0]).parent.name
    known = {
        "daphne": ("--websocket-max-message-size", DAPHNE_FRAME),
        "uvicorn": ("--ws-max-size", int(os.environ.get("UVICORN_WS_MAX_SIZE") or UVICORN_FRAME)),
    }
    if program not in known:
        return None
    flag, limit = known[program]
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name == flag:
            try:
                return int(value or following)
            except ValueError:
                return None
    return limit


@rule()
def frames_are_bounded_early() -> Iterator[CheckMessage]:
    limit = frame_limit(sys.argv)
    if limit is not None and limit > FRAME_BYTES:
        yield Warning(
            f"This server takes frames of up to {limit} bytes before livesale refuses what is over {FRAME} characters.",
            hint=f"daphne --websocket-max-message-size {FRAME_BYTES}, uvicorn --ws-max-size {FRAME_BYTES}.",
            id="livesale.W014",
        )
