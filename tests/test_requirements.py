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


def command_exists(command: str) -> bool:
    program, *words = command.split()
    if program == "make":
        return re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    return words[0] == "-m" and (ROOT / words[1].replace(".", "/")).with_suffix(".py").is_file()


def test_every_requirement_has_one_row() -> None:
    assert [r.number for r in requirements()] == list(range(1, COUNT + 1))
    for requirement in requirements():
        assert len(requirement.sentence) > 20, requirement
        assert requirement.sentence.endswith("."), requirement


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: f"R{r.number}")
def test_its_tests_exist_and_its_state_is_honest(requirement: Requirement) -> None:
    commands = [name for name in requirement.tests if name.startswith(("make ", "python "))]
    for name in requirement.tests:
        path, _, test = name.partition("::")
        assert command_exists(name) if name in commands else test in named_in(path), f"{name} does not exist"
    assert len(set(requirement.tests)) == len(requirement.tests)
    if requirement.state == "proven":
        assert len(requirement.tests) > len(commands), "proven by nothing"
    elif commands and requirement.state.startswith("by command"):
        assert re.fullmatch(r"by command, 20\d\d-\d\d-\d\d: .{20,}", requirement.state), requirement.state
    else:
        assert re.fullmatch(r"open, because .{15,}", requirement.state), requirement.state


def test_a_name_that_is_wrong_would_be_found() -> None:
    assert "test_frames" in named_in("wire/test_rfc6455.py")
    assert "test_no_such_thing" not in named_in("wire/test_rfc6455.py")
    assert "a stop is a stop until the person acts" in named_in("frontend/sdk/tests/connection.test.ts")
    assert "a stop is a stop" not in named_in("frontend/sdk/tests/connection.test.ts")
    assert command_exists('make soak ARGS="--minutes 60"')
    assert not command_exists("make nothing")
    assert not command_exists("python -m tests.faults.nothing")
    with pytest.raises(AssertionError):
        named_in("wire/test_nothing.py")
