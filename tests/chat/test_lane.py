"""The lane's queues: a batch is shared fairly, and nothing waits without a bound."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from chat.log.errors import Refused
from chat.log.execute import execute
from chat.log.lane import Lane
from tests.chat.world import World, request

pytestmark = pytest.mark.database


def lane_with(*requests) -> Lane:
    lane = Lane(lambda outcome: None)
    for r in requests:
        lane.submit(r)
    return lane


def test_a_flooded_stream_delays_a_quiet_one_by_one_batch_at_most():
    loud, quiet = uuid4(), uuid4()
    flood = [request(loud, "sample.count", uuid7()) for _ in range(3_000)]
    lane = lane_with(*flood, request(quiet, "sample.count", uuid7()))
    drawn = lane._draw()
    assert len(drawn) == 500
    assert any(r.stream_id == quiet for r in drawn)
    assert [r for r in drawn if r.stream_id == loud] == flood[: len(drawn) - 1]


def test_many_streams_share_a_batch_and_each_keeps_its_order():
    rooms = [uuid4() for _ in range(40)]
    queued = {room: [request(room, "sample.count", uuid7()) for _ in range(50)] for room in rooms}
    lane = lane_with(*(r for room in rooms for r in queued[room]))
    taken: dict[UUID, list] = {room: [] for room in rooms}
    while lane.waiting:
        for r in lane._draw():
            taken[r.stream_id].append(r)
        sizes = [len(t) for t in taken.values()]
        assert max(sizes) - min(sizes) <= 6 or not lane.waiting
    assert taken == queued


def test_queues_are_bounded_per_person_and_stream():
    lane = Lane(lambda outcome: None)
    somebody, room = uuid7(), uuid4()
    for _ in range(50):
        lane.submit(request(uuid4(), "sample.count", somebody))
    with pytest.raises(Refused, match=r"server\.busy"):
        lane.submit(request(uuid4(), "sample.count", somebody))
    for _ in range(5_000):
        lane.submit(request(room, "sample.count", uuid7()))
    with pytest.raises(Refused, match=r"server\.busy"):
        lane.submit(request(room, "sample.count", uuid7()))
    while lane.waiting:
        lane._draw()
    lane.submit(request(room, "sample.count", somebody))
    assert lane._per_actor == {somebody.int: 1}


def test_execute_refuses_what_a_person_may_not_name(world: World):
    for name in ("sample.count_on", "no.such"):
        with pytest.raises(Refused, match=r"command\.unknown"):
            execute(world.room, name, {"by": 1}, actor_id=world.owner)
