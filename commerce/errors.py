"""The one way in which goods and money say no."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A decision that was not made, with a dotted code that a client can act on.

    ``code``         e.g. ``claim.sold_out``; stable, never shown as text
    ``temporary``    the same request may succeed later without anything else changing hands
    ``retry_after``  seconds to wait, only with ``temporary``
    ``params``       numbers and ids for the text of the refusal, never personal data
    """

    def __init__(
        self, code: str, temporary: bool = False, retry_after: int | None = None, **params: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.temporary = temporary
        self.retry_after = retry_after
        self.params = params

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.code}({facts})"


class Conflict(Exception):
    """A guarded UPDATE did not meet the rows that were read under the lock: the transaction must be rolled back.

    Never an answer to a person: either a lock was missing or somebody wrote behind the services' back.
    """
