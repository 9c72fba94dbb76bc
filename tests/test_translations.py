"""Every sentence that people may read exists in every language. `make messages` collects and compiles them."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation import override, to_locale

from chat.log import registry
from chat.log.errors import DESCRIPTIONS
from chat.realtime.answers import sentence
from livesale.management.commands.makemessages import PACKAGES

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
KEYWORDS = {"describe": (2,), "_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None}
TODO = "run `make messages`, translate what is empty in livesale/locale, run it again"


def folder(language: str) -> Path:
    return Path(settings.LOCALE_PATHS[0]) / to_locale(language) / "LC_MESSAGES"


def texts(catalog: Catalog) -> dict[tuple[str | None, str], str]:
    """What is translated; the header is no text. A fuzzy or empty translation is none, here as in Django."""
    return {
        (message.context, str(message.id)): str(message.string)
        for message in catalog
        if message.id and message.string and not message.fuzzy
    }


def source(language: str) -> Catalog:
    with (folder(language) / "django.po").open("rb") as file:
        return read_po(file, locale=to_locale(language))


def compiled(language: str) -> dict[tuple[str | None, str], str]:
    with (folder(language) / "django.mo").open("rb") as file:
        return texts(read_mo(file))


def placeholders(text: str) -> Counter[str]:
    """What `str.format()` and `%` put in."""
    percent = re.findall(r"%\(\w+\)[a-z]", text)
    braces = [f"{{{name}}}" for _, name, _, _ in Formatter().parse(text) if name is not None]
    return Counter(percent + braces)


def texts_in_code() -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((settings.BASE_DIR / package).rglob("*.py")):
            for _, message, _, _ in extract_from_file("python", path, keywords=KEYWORDS):
                yield message[0] if isinstance(message, tuple) else message


def texts_in_templates() -> Iterator[str]:
    """Those of the short tag; the others are built from several parts by Django."""
    for package in PACKAGES:
        for path in sorted((settings.BASE_DIR / package).rglob("*.html")):
            yield from re.findall(r'{%\s*(?:translate|trans)\s+"([^"]+)"', path.read_text(encoding="utf-8"))


def test_the_languages() -> None:
    assert LANGUAGES == ["de", "zh-hans"]
    found = {path.parent.parent.name for path in Path(settings.LOCALE_PATHS[0]).glob("*/*/django.po")}
    assert found == {to_locale(language) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_its_sentence(language: str) -> None:
    registry.load()
    importlib.import_module(settings.ROOT_URLCONF)  # REST has codes of its own
    translated = compiled(language)
    # a subject of other tests may be registered in this process too: nobody reads its refusals
    ours = {code: text for code, text in DESCRIPTIONS.items() if not code.startswith("sample.")}
    assert len(ours) > 90
    assert {code: text for code, text in ours.items() if (None, text) not in translated} == {}, TODO


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_marked_text_is_translated(language: str) -> None:
    translated = compiled(language)
    marked = {*texts_in_code(), *texts_in_templates()}
    assert {"Please sign in first.", "That order is not there.", "partly refunded", "Cancel"} <= marked
    assert {text for text in marked if (None, text) not in translated} == set(), TODO


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_empty_fuzzy_or_obsolete(language: str) -> None:
    catalog = source(language)
    assert [message.id for message in catalog if message.id and not message.string] == [], TODO
    assert [message.id for message in catalog if message.fuzzy] == []
    assert not catalog.fuzzy
    assert list(catalog.obsolete) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_the_same(language: str) -> None:
    both = texts(source(language))
    assert {text: it for (_, text), it in both.items() if placeholders(text) != placeholders(it)} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_file_is_current(language: str) -> None:
    assert compiled(language) == texts(source(language)), "run `make messages`"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "That is too long: at most 5 characters."),
        ("de", "Das ist zu lang: höchstens 5 Zeichen."),
        ("zh-hans", "内容太长，最多 5 个字符。"),
    ],
)
def test_a_refusal_speaks_the_readers_language(language: str, text: str) -> None:
    with override("en"):
        assert sentence("text.too_long", {"limit": 5}, language) == text
