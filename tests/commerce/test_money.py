"""Integers with a currency, for currencies of 0, 2 and 3 decimals."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import commerce
from commerce.money import amount, display, exponent, share, split, to_minor

CURRENCIES = {"JPY": 0, "EUR": 2, "KWD": 3}
minor = st.integers(-(10**15), 10**15)


@pytest.mark.parametrize(("currency", "decimals"), CURRENCIES.items())
def test_decimals(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize("code", ["", "EU", "eur", "XYZ1", "QQQ"])
def test_what_is_no_currency(code: str) -> None:
    with pytest.raises(ValueError, match="ISO"):
        exponent(code)


@given(value=minor, currency=st.sampled_from(sorted(CURRENCIES)))
def test_amounts_go_out_and_come_back_exactly(value: int, currency: str) -> None:
    assert to_minor(str(amount(value, currency)), currency) == value


@pytest.mark.parametrize(
    ("text", "currency"),
    [("1.5", "JPY"), ("1.234", "EUR"), ("1.2345", "KWD"), ("NaN", "EUR"), ("x", "EUR"), ("Infinity", "EUR")],
)
def test_what_is_no_exact_amount(text: str, currency: str) -> None:
    with pytest.raises(ValueError):
        to_minor(text, currency)


@given(total=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**9), min_size=1))
def test_pieces_add_up(total: int, weights: list[int]) -> None:
    pieces = split(total, weights)
    assert sum(pieces) == (total if sum(weights) else 0)
    assert all(piece >= 0 for piece in pieces)
    if sum(weights):
        for piece, weight in zip(pieces, weights, strict=True):
            assert abs(piece * sum(weights) - total * weight) <= sum(weights)


def test_share_of_nothing() -> None:
    assert share(100, 0, 0) == 0


@pytest.mark.parametrize(
    ("value", "currency", "locale", "shown"),
    [(1250, "EUR", "en", "€12.50"), (1250, "JPY", "en", "¥1,250"), (1250, "KWD", "en", "KWD1.250"),
     (123456, "EUR", "de", "1.234,56€"), (1250, "CNY", "zh-hans", "¥12.50")],
)  # fmt: skip
def test_people_read_their_own_way(value: int, currency: str, locale: str, shown: str) -> None:
    assert display(value, currency, locale).replace("\xa0", "") == shown


def test_no_float_in_the_package() -> None:
    """Neither the type nor a literal with a point, anywhere that money passes."""
    for path in Path(commerce.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not (isinstance(node, ast.Name) and node.id == "float"), path
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), path
