"""What people of all scripts write goes in and comes out the same; what tricks readers or stores does not go in."""

from __future__ import annotations

import unicodedata

import pytest

from chat.log.errors import Refused
from chat.messages.text import MAX_CHARACTERS, MAX_CODE_POINTS, clean

GOOD = [
    "Two scarves, please!",
    "Grüße aus Köln – schön",
    "مرحبا، أريد وشاحين",
    "السَّلَامُ عَلَيْكُمْ",
    "שָׁלוֹם, שני צעיפים",
    "नमस्ते, दो स्कार्फ चाहिए",
    "สวัสดีค่ะ ขอผ้าพันคอสองผืน น้ำเงิน",
    "你好，要两条围巾",
    "안녕하세요 목도리 두 개",
    "Xin chào, hai chiếc khăn ở Huế",
    "👩‍👩‍👧‍👦 🧑🏽‍🚀 🏳️‍🌈 🇩🇪 1️⃣ ❤️",
    "می‌خواهم",  # the joiner between letters is spelling
    "price < 5 && size > 3 \\ \"quoted\" 'too' %s {x} $1",
    "two\nlines\tand a tab",
    "x" * MAX_CHARACTERS,
    "🧣" * MAX_CHARACTERS,
]


@pytest.mark.parametrize("text", GOOD)
def test_what_people_write_comes_out_as_it_went_in(text: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", text)
    assert clean(clean(text)) == clean(text)


def test_two_spellings_of_a_letter_become_one_and_edges_are_trimmed() -> None:
    assert clean("Cafe\u0301") == clean("  Caf\u00e9 \n") == "Café"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "text.empty"),
        (" \n\t\u00a0\u3000 ", "text.empty"),
        ("a\x00b", "text.invalid"),
        ("a\x1b[31mb", "text.invalid"),
        ("a\x9bb", "text.invalid"),
        ("a\x7fb", "text.invalid"),
        ("invoice\u202egnp.exe", "text.invalid"),
        ("a\u2066b\u2069c", "text.invalid"),
        ("\ufeffa", "text.invalid"),
        ("a\ud800b", "text.invalid"),
        ("e" + "\u0301\u0302\u0303\u0304\u0305\u0306", "text.invalid"),
        ("x" * (MAX_CHARACTERS + 1), "text.too_long"),
        ("🧣" * (MAX_CHARACTERS + 1), "text.too_long"),
        # few characters for the eye, many for the store
        ("a" + "\u200d" * MAX_CODE_POINTS, "text.too_long"),
        ("👨‍👩‍👧‍👦" * 200, "text.too_long"),
    ],
)
def test_what_tricks_readers_or_stores_is_refused(text: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        clean(text)
    assert refused.value.code == code
