"""What counts as a link, and what as the same text again. Pure: the rules themselves are in `book.py`."""

from __future__ import annotations

import re
import unicodedata

# The shortest text, as `skeleton` leaves it, that may be called nearly the same as another. In a shorter one a
# different digit is a different thing: "2 of 12" is not "3 of 12".
NEARLY_FROM = 20
# How much of the pairs and triples of letters of two texts must be shared.
NEARLY = 0.8

# Names people end addresses with when they leave out the scheme. Not all there are: "ok.so" is no address.
_ENDINGS = (
    "app|biz|blog|cc|ch|click|club|cn|co|com|de|dev|eu|fr|gg|info|io|jp|link|live|me|net|online|org|page|ru|shop|site"
    "|store|tk|to|top|tv|uk|us|vip|xyz"
)
_LINK = re.compile(rf"[a-z][a-z0-9+.-]*://|\bwww\.|\b[\w-]+\.(?:{_ENDINGS})\b(?!\.?\w)", re.IGNORECASE)
_INSECURE = re.compile(r"\b(?!https://)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Dots of other scripts, which browsers take for dots in addresses.
_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
# Nothing to see, something to compare: joiners, marks of direction, soft hyphens.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f]"
)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text).translate(_DOTS))


def has_link(text: str) -> bool:
    """Whether somebody would find an address in it, with or without its scheme."""
    return _LINK.search(_plain(text)) is not None


def has_insecure_link(text: str) -> bool:
    """Whether it has an address with a scheme other than https."""
    return _INSECURE.search(_plain(text)) is not None


def skeleton(text: str) -> str:
    """What remains of a text without what is changed to make it look new: case, spaces, signs, drawn-out letters."""
    plain = _plain(text).casefold()
    letters = "".join(c for c in plain if c.isalnum()) or "".join(plain.split())
    return re.sub(r"(\D)\1+", r"\1", letters)


def _pieces(text: str) -> set[str]:
    return {text[i : i + n] for n in (2, 3) for i in range(len(text) - n + 1)}


def alike(one: str, other: str) -> bool:
    """Whether two skeletons are the same text, or, where they are long enough to tell, nearly the same."""
    if one == other:
        return True
    if min(len(one), len(other)) < NEARLY_FROM:
        return False
    ours, theirs = _pieces(one), _pieces(other)
    return len(ours & theirs) >= NEARLY * len(ours | theirs)
