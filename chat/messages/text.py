"""What counts as text: normalised, of bounded size, without characters that trick readers or stores."""

from __future__ import annotations

import re
import unicodedata

from chat.log.errors import Refused, describe

MAX_CHARACTERS = 500
MAX_CODE_POINTS = 2_000
MAX_BYTES = 4_096
MAX_MARKS = 4

describe("text.empty", "There is nothing to send.")
describe("text.too_long", "That is too long: at most {limit} characters.")
describe("text.invalid", "The text contains characters that cannot be sent.")

# C0 and C1 controls but newline and tab; bidi overrides and isolates; U+FEFF; lone surrogates
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_JOINERS = {"\u200d", "\ufe0f", "\ufe0e"}


def characters(text: str) -> int:
    """How many characters a reader sees, roughly: marks, joiners and modifiers count with their base."""
    count = 0
    joined = False
    for c in text:
        if (
            c in _JOINERS
            or unicodedata.category(c) in {"Mn", "Me", "Mc"}
            or "\U0001f3fb" <= c <= "\U0001f3ff"
        ):
            joined = c == "\u200d"
            continue
        if not joined:
            count += 1
        joined = False
    return count


def _stacks_marks(text: str) -> bool:
    run = 0
    for c in text:
        run = run + 1 if unicodedata.category(c) in {"Mn", "Me"} else 0
        if run > MAX_MARKS:
            return True
    return False


def clean(text: str, *, limit: int = MAX_CHARACTERS) -> str:
    """The text as it is stored: NFC, trimmed. Raises `text.empty`, `text.too_long`, `text.invalid`."""
    if len(text) > MAX_CODE_POINTS:
        raise Refused("text.too_long", limit=limit)
    if _FORBIDDEN.search(text):
        raise Refused("text.invalid")
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        raise Refused("text.empty")
    if not text.isascii():
        if len(text.encode()) > MAX_BYTES:
            raise Refused("text.too_long", limit=limit)
        if _stacks_marks(text):
            raise Refused("text.invalid")
    if len(text) > limit and characters(text) > limit:
        raise Refused("text.too_long", limit=limit)
    return text
