"""A batch is gone when it has been answered: whatever was refused in it or failed, no cycle waits for the collector."""

from __future__ import annotations

import pytest

from chat.log import transaction
from chat.log.errors import Refused
from tests.chat.world import World, code_of, outside, request, run
from tests.leftovers import nothing_left

pytestmark = pytest.mark.database


@pytest.mark.parametrize("trouble", ["", "refuse", "raise", "sql", "row"])
def test_of_what_was_refused_or_failed(world: World, trouble: str, monkeypatch: pytest.MonkeyPatch):
    batch = [request(world.room, "sample.count", world.guest, by=1, trouble=trouble) for _ in range(3)]
    with nothing_left(monkeypatch):
        run(*batch)
    codes = {"": "", "refuse": "sample.enough"}
    assert {code_of(r) for r in batch} == {codes.get(trouble, "server.error")}


def test_of_what_is_raised_where_it_was_asked(world: World, monkeypatch: pytest.MonkeyPatch):
    with nothing_left(monkeypatch):
        try:
            world.do("sample.count", world.guest, trouble="refuse")
        except Refused as refusal:
            assert refusal.code == "sample.enough"
        else:
            raise AssertionError("it was not refused")


@pytest.mark.only("postgres")
@pytest.mark.parametrize("row", ["room", "stream_head"])
def test_of_what_waits_for_a_lock(lasting_world: World, row: str, monkeypatch: pytest.MonkeyPatch):
    world = lasting_world
    other = world.another_room()
    monkeypatch.setattr(transaction, "LOCK_WAIT_MS", 20)
    column = {"room": "id", "stream_head": "stream_id"}[row]
    with outside() as psql:
        psql.execute("BEGIN")
        psql.execute(f"SELECT 1 FROM {row} WHERE {column} = %s FOR UPDATE", [other])
        batch = [request(room, "room.configure", world.owner, slow_seconds=1) for room in (world.room, other)]
        with nothing_left(monkeypatch):
            outcome = run(*batch)
        psql.execute("ROLLBACK")
    if row == "room":
        assert [code_of(r) for r in batch] == ["", "server.busy"]
    else:
        assert outcome.deferred == batch[1:]
