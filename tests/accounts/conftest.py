from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from tests.accounts.canaries import Place


@pytest.fixture(autouse=True)
def _forget_limits() -> None:
    cache.clear()


@pytest.fixture
def list_of_erasures(settings: Any, tmp_path: Any) -> None:
    settings.ERASURES_FILE = tmp_path / "list" / "erasures.txt"


@pytest.fixture
def place(db: None, list_of_erasures: None) -> Place:
    return Place()
