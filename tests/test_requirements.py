"""`docs/requirements.md` names tests that exist, for each requirement, and says of each what is missing."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

import pytest

from tests.processes import ROOT

PAGE = ROOT / "docs" / "requirements.md"
COUNT = 60


@dataclass(frozen=True)
class Requirement:
    number: int
    sentence: str
    tests: tuple[str, ...]
    state: str


@cache
def requirements() -> list[Requirement]:
    found = []
    for line in PAGE.read_text().splitlines():
        if re.match(r"\| R\d", line):
            name, sentence, shown, state = (cell.strip() for cell in line.strip("|").split("|"))
            found.append(Requirement(int(name[1:]), sentence, tuple(re.findall(r"`([^`]+)`", shown)), state))
    return found


@cache
def named_in(path: str) -> frozenset[str]:
    """The tests of a file: functions of Python, sentences of TypeScript."""
    file = ROOT / path if path.startswith("frontend/") else ROOT / "tests" / path
    assert file.is_file(), f"{path} does not exist"
    text = file.read_text()
    if file.suffix == ".ts":
        return frozenset(
            sentence for _, sentence in re.findall(r"\b(?:test|it)\((['\"`])(.+?)(?<!\\)\1", text)
        )
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return frozenset(f.name for f in functions if f.name.startswith("test_"))


def test_every_requirement_has_one_row() -> None:
    assert [r.number for r in requirements()] == list(range(1, COUNT + 1))
    for requirement in requirements():
        assert len(requirement.sentence) > 20, requirement
        assert requirement.sentence.endswith("."), requirement


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: f"R{r.number}")
def test_its_tests_exist_and_its_state_is_honest(requirement: Requirement) -> None:
    for name in requirement.tests:
        path, _, test = name.partition("::")
        assert test in named_in(path), f"{name} does not exist"
    assert len(set(requirement.tests)) == len(requirement.tests)
    if requirement.state == "proven":
        assert requirement.tests, "proven by nothing"
    else:
        assert re.fullmatch(r"open, because .{15,}", requirement.state), requirement.state


def test_a_name_that_is_wrong_would_be_found() -> None:
    assert "test_frames" in named_in("wire/test_rfc6455.py")
    assert "test_no_such_thing" not in named_in("wire/test_rfc6455.py")
    assert "a stop is a stop until the person acts" in named_in("frontend/sdk/tests/connection.test.ts")
    assert "a stop is a stop" not in named_in("frontend/sdk/tests/connection.test.ts")
    with pytest.raises(AssertionError):
        named_in("wire/test_nothing.py")
