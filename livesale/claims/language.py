"""What people type when they want something: "sold 12 M x2", "12 M", "+1".

The grammar is small and strict, so that small talk is never an order: a text is a claim only as a whole. A bare code
needs the claim word or a quantity, unless it is exactly the code of an offer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

CLAIM_WORDS = {"sold", "mine", "claim", "buy", "nehme", "ich", "meins", "要", "买"}
MOST = 999

_PLUS = re.compile(r"\+\s*(\d{1,3})")
_QUANTITY = re.compile(r"[x×*]\s*(\d{1,3})|(\d{1,3})\s*[x×*]")


class Sellable(Protocol):
    """What the parser needs to know of an offer."""

    id: UUID
    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text that is a claim. Exactly one of `offer_id` and `problem` is set.

    `problem`: `claim.unknown_code`, `claim.which_variant` (`options` are the labels), `claim.quantity`,
    `claim.nothing_featured`.
    """

    offer_id: UUID | None
    qty: int
    problem: str = ""
    said: str = ""
    options: tuple[str, ...] = ()


def parse(text: str, offers: Sequence[Sellable], featured: UUID | None) -> Parsed | None:
    """Read a text as a claim on these offers; None when it is ordinary talk."""
    plain = unicodedata.normalize("NFKC", text).strip().strip(".!").casefold()
    if not plain or len(plain) > 60 or "\n" in plain:
        return None
    plus = _PLUS.fullmatch(plain)
    if plus:
        return _plus(int(plus.group(1)), featured)
    words = plain.split()
    by_code: dict[str, list[Sellable]] = {}
    for offer in offers:
        by_code.setdefault(offer.code.casefold(), []).append(offer)
    asked = words[0] in CLAIM_WORDS
    if asked:
        words = words[1:]
    qty, words = _take_quantity(words)
    counted = qty is not None
    if qty is not None and not 1 <= qty <= MOST:
        return Parsed(None, qty, "claim.quantity") if asked or _is_code(words, by_code) else None
    if not words:
        return _plus(qty or 1, featured) if asked and counted else None
    code = words[0].lstrip("#")
    if code not in by_code:
        # "sold 99" is an order for something that is not here; "sold out?" and "mine too" are talk
        looks_like_code = any(c.isdigit() for c in code)
        return Parsed(None, qty or 1, "claim.unknown_code", code[:24]) if asked and looks_like_code else None
    rest = " ".join(words[1:])
    return _variant(by_code[code], code, rest, qty or 1, asked or counted)


def _plus(qty: int, featured: UUID | None) -> Parsed:
    if not 1 <= qty <= MOST:
        return Parsed(None, qty, "claim.quantity")
    if featured is None:
        return Parsed(None, qty, "claim.nothing_featured")
    return Parsed(featured, qty)


def _is_code(words: list[str], by_code: dict[str, list[Sellable]]) -> bool:
    return bool(words) and words[0].lstrip("#") in by_code


def _take_quantity(words: list[str]) -> tuple[int | None, list[str]]:
    """A quantity at the end ("x2", "2x", "x 2") and the words before it."""
    if words:
        last = _QUANTITY.fullmatch(words[-1])
        if last:
            return int(last.group(1) or last.group(2)), words[:-1]
    if len(words) >= 2:
        two = _QUANTITY.fullmatch("".join(words[-2:]))
        if two and words[-2] in {"x", "×", "*"}:
            return int(two.group(1) or two.group(2)), words[:-2]
    return None, words


def _variant(candidates: Sequence[Sellable], code: str, rest: str, qty: int, asked: bool) -> Parsed | None:
    labels = tuple(o.label for o in candidates if o.label)
    for offer in candidates:
        if offer.label.casefold() == rest:
            return Parsed(offer.id, qty)
    if len(candidates) == 1 and not rest:
        return Parsed(candidates[0].id, qty)
    if not rest or asked:
        return Parsed(None, qty, "claim.which_variant", code, labels)
    return None
