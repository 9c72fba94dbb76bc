"""How one transaction carries the decisions of many people: want, lock, load, decide, write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from django.db import transaction

from commerce.sql import Insert, insert_rows

Answer = TypeVar("Answer")


class Part(Protocol):
    """A set of rows that a batch decides about together.

    ``want…()`` methods say which rows; ``lock`` locks them in the order of their ids; ``load`` reads them in separate
    statements after all parts have locked; decisions are methods of the part, pure and in memory, checking everything
    before they change anything (they raise `commerce.errors.Refused`); ``write`` writes each table once.
    """

    rank: int
    """Parts lock, load and write in the order of their ranks."""

    def lock(self) -> None: ...

    def load(self, now: datetime) -> None: ...

    def write(self, now: datetime, insert: Insert) -> None: ...


def run(*parts: Part, now: datetime, decide: Callable[[], Answer], insert: Insert = insert_rows) -> Answer:
    """One transaction of its own around ``decide``; for back-office writes and tests. A refusal rolls it back."""
    ordered = sorted(parts, key=lambda part: part.rank)
    with transaction.atomic():
        for part in ordered:
            part.lock()
        for part in ordered:
            part.load(now)
        answer = decide()
        for part in ordered:
            part.write(now, insert)
    return answer
