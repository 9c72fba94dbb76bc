from __future__ import annotations

import pytest

from tests.commerce.world import World


@pytest.fixture
def world(db: None) -> World:
    """A shop with ten scarves at 15.00 in one pool."""
    return World.create()
