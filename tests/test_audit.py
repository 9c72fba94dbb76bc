"""`make audit` says what is known against the locked versions, and never that all is well when nobody was asked."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from tests.processes import ROOT


def audited(report: str, errors: str = "") -> list[str]:
    spec = importlib.util.spec_from_file_location("advisories", ROOT / "scripts" / "dev" / "advisories.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said: list[str] = module.audited(report, errors)
    return said


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": [{"name": "django", "version": "5.2.1", **p} for p in packages]})


def test_a_version_that_nothing_is_known_against() -> None:
    assert audited(report({"vulns": []}, {"vulns": []})) == []


def test_a_version_with_a_hole() -> None:
    hole = {"id": "PYSEC-2026-1", "fix_versions": ["5.2.13"], "aliases": [], "description": ""}
    assert audited(report({"vulns": [hole]})) == ["django 5.2.1: PYSEC-2026-1, mended in 5.2.13"]
    assert audited(report({"vulns": [{**hole, "fix_versions": []}]})) == [
        "django 5.2.1: PYSEC-2026-1, mended in no version yet"
    ]


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        ("", "requests.exceptions.ConnectionError: no such host"),
        ("", ""),
        (report(), ""),
        ('{"other": 1}', ""),
        # what pip-audit makes of a service that answers 404 to everything: a report without holes, and exit code 0
        (report({"vulns": []}, {"skip_reason": "Dependency not found on PyPI and could not be audited"}), ""),
    ],
)
def test_who_could_not_ask_has_not_audited(said: str, errors: str) -> None:
    assert len(audited(said, errors)) == 1
