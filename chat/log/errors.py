"""Refusals: what a client is told. A dotted code, parameters, whether to try again and when."""

from __future__ import annotations

from typing import Any

# Registered by subjects through `describe()`; the texts are gettext message ids.
DESCRIPTIONS: dict[str, str] = {}


def describe(code: str, text: str) -> str:
    """Register the human sentence of a code and return the code."""
    DESCRIPTIONS[code] = text
    return code


class Refused(Exception):
    """A command that cannot be done. Nothing was changed by it.

    `temporary` means that the same command with the same client id may succeed later, `retry_after` (seconds) when.
    """

    def __init__(
        self, code: str, *, temporary: bool = False, retry_after: float | None = None, **params: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.temporary = temporary
        self.retry_after = retry_after
        self.params = params


def busy(retry_after: float = 1.0) -> Refused:
    return Refused("server.busy", temporary=True, retry_after=retry_after)


describe(
    "server.busy", "The server is very busy. Your request was not carried out yet; it will be tried again."
)
describe("server.error", "Something went wrong on our side. Nothing was changed.")
describe(
    "server.unavailable", "The server cannot save anything right now. Your request is kept and tried again."
)
describe("command.unknown", "This server does not know that command.")
describe("command.invalid", "The request was not understood: {reason}")
describe("command.too_old", "That request is too old to be carried out.")
describe("command.reused", "That request id was already used for something else.")
describe("stream.unknown", "There is nothing here, or you may not see it.")
describe("stream.wrong_kind", "That cannot be done here.")
describe("auth.required", "Please sign in first.")
describe("permission.denied", "You may not do that here.")
describe("person.unknown", "There is no such person.")
