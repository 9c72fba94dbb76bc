"""What a check of the books found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that does not add up: ``subject`` is the row, ``expected`` what the other rows say."""

    kind: str
    subject: str
    expected: Any
    found: Any


def compare(kind: str, sql: str) -> list[Drift]:
    """Run a query whose rows are (id, expected, found), one per drift."""
    from commerce.sql import fetch

    return [Drift(kind, str(subject), expected, found) for subject, expected, found in fetch(sql, [], "uss")]
