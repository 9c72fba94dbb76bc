from __future__ import annotations

import pytest
from django.core.cache import cache

from tests.rest.world import ShopWorld


@pytest.fixture(autouse=True)
def _forget_limits() -> None:
    cache.clear()


@pytest.fixture
def world(db: None) -> ShopWorld:
    return ShopWorld("Anna")


@pytest.fixture
def other(db: None) -> ShopWorld:
    return ShopWorld("Berta")
