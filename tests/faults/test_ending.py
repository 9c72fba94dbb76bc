"""The end of a process: SIGTERM finishes what was taken and tells everybody where to go."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.wire.client import new_id
from tests.wire.conftest import House, open_house


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def opened(request: pytest.FixtureRequest):
    with open_house(1, server=request.param) as house:
        yield house


@pytest.fixture
def ending_house(opened: House) -> House:
    if not opened.first.running:
        opened.first.start()
    return opened


async def test_what_was_acknowledged_is_there_and_every_socket_is_told_to_come_back(ending_house: House):
    house = ending_house
    backstage = house.backstage
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    async with house.enter(owner) as writer, house.wire() as reader:
        await reader.hello()
        await reader.join(room)
        ids = [new_id() for _ in range(60)]
        for number, command in enumerate(ids):
            await writer.do(room, "message.send", {"text": f"message {number}"}, id=command)
        await writer.expect("ack", id=ids[0])
        ended = asyncio.create_task(asyncio.to_thread(house.first.sigterm))

        assert await writer.expect_close() == 4001
        assert await reader.expect_close() == 4001
        code = await ended
    assert code in (0, -signal.SIGTERM)
    for wire in (writer, reader):
        bye = wire.frames[-1]
        assert (bye["type"], bye["code"]) == ("bye", 4001)
        assert 0 <= bye["retry_after"] <= 3
    assert "Traceback" not in house.first.log

    acknowledged = {f["id"] for f in writer.frames if f["type"] == "ack"}
    refused = {f["id"] for f in writer.frames if f["type"] == "error"}
    in_log = [seq for seq, kind, _ in backstage.log(stream=room)]
    assert len(in_log) == len(acknowledged)
    assert in_log == list(range(1, len(in_log) + 1))
    # everything committed here was also heard here, before the goodbye
    assert [e["seq"] for e in reader.events(room)] == in_log

    house.first.start()
    async with house.enter(owner) as again:
        for number, command in enumerate(ids):
            answer = await again.ask_for(room, "message.send", {"text": f"message {number}"}, id=command)
            if command in acknowledged:
                assert answer["repeated"]
            elif command in refused:
                # the rate limit of a person counts on
                assert answer["type"] == "ack" or answer["temporary"]


async def test_a_process_that_nobody_has_talked_to_ends_at_once(ending_house: House):
    assert await asyncio.to_thread(ending_house.first.sigterm) in (0, -signal.SIGTERM)
