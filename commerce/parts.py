"""How one transaction carries the decisions of many people: want, lock, load, decide, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol, TypeVar

from django.db import transaction

from commerce.sql import Insert, insert_rows, settle

Answer = TypeVar("Answer")

_DONE = object()


class Part(Protocol):
    """A set of rows that a batch decides about together.

    ``want…()`` methods say which rows; ``lock`` locks them in the order of their ids and says whether there were any;
    ``load`` reads them in separate statements after all parts have locked, and yields between asking and reading the
    answers, so that what several parts ask travels together; decisions are methods of the part, pure and in memory,
    checking everything before they change anything (they raise `commerce.errors.Refused`); ``write`` writes each
    table once.
    """

    rank: int
    """Parts lock, load and write in the order of their ranks."""

    def lock(self) -> bool: ...

    def load(self, now: datetime) -> Iterator[None]: ...

    def write(self, now: datetime, insert: Insert) -> None: ...


def together(*loading: Iterator[None]) -> Iterator[None]:
    """Several parts' `load`, step by step side by side."""
    going = list(loading)
    while going := [one for one in going if next(one, _DONE) is not _DONE]:
        yield


def run(*parts: Part, now: datetime, decide: Callable[[], Answer], insert: Insert = insert_rows) -> Answer:
    """One transaction of its own around ``decide``; for back-office writes and tests. A refusal rolls it back."""
    ordered = sorted(parts, key=lambda part: part.rank)
    with transaction.atomic():
        for part in ordered:
            part.lock()
        for _ in together(*(part.load(now) for part in ordered)):
            pass
        answer = decide()
        for part in ordered:
            part.write(now, insert)
        settle()
    return answer
