"""Money is an integer of minor units and an ISO 4217 code. No other form of it exists in here."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from babel.core import get_global
from babel.numbers import format_currency, get_currency_precision


@cache
def exponent(currency: str) -> int:
    """How many decimals the currency has: 2 for EUR, 0 for JPY, 3 for KWD. Raises ValueError for no currency."""
    if len(currency) != 3 or currency not in get_global("all_currencies"):
        raise ValueError(f"{currency!r} is not an ISO 4217 code")
    return get_currency_precision(currency)


def amount(minor: int, currency: str) -> Decimal:
    """The amount in units of the currency, exact; for exports."""
    return Decimal(minor).scaleb(-exponent(currency))


def to_minor(text: str, currency: str) -> int:
    """Read "12.50" as minor units. Raises ValueError for anything that is not an exact amount of the currency."""
    try:
        scaled = Decimal(text).scaleb(exponent(currency))
    except ArithmeticError as error:
        raise ValueError(text) from error
    if not scaled.is_finite() or scaled != int(scaled):
        raise ValueError(text)
    return int(scaled)


def display(minor: int, currency: str, locale: str = "en") -> str:
    """The amount as people of that locale write it."""
    return format_currency(amount(minor, currency), currency, locale=locale.replace("-", "_"))


def share(total: int, part: int, whole: int) -> int:
    """``total × part / whole``, rounded down; differences of growing parts add up to exactly ``total``."""
    return 0 if whole == 0 else total * part // whole


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split an amount along weights so that the pieces add up to it exactly."""
    whole, before, pieces = sum(weights), 0, []
    for weight in weights:
        pieces.append(share(total, before + weight, whole) - share(total, before, whole))
        before += weight
    return pieces
