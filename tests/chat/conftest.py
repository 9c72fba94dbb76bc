from __future__ import annotations

import pytest

from chat.log import registry
from tests.chat.world import World
from tests.sample_subject import commands as sample

registry.load()


@pytest.fixture
def world(db: None) -> World:
    """An owner, a moderator, a member and a guest, and a room of theirs."""
    return World.create()


@pytest.fixture
def lasting_world(transactional_db: None) -> World:
    """The same, committed: for tests with several connections."""
    return World.create()


@pytest.fixture(autouse=True)
def _no_trouble() -> None:
    sample.Tally.in_lock = sample.Tally.in_write = None
    sample.calls.clear()
