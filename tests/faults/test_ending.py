"""The end of a process: SIGTERM finishes what was taken and tells everybody where to go."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.processes import LiveProcess
from tests.rest.live import Browser
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


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_request_that_is_worked_on_is_answered_though_no_socket_was_ever_here(
    live_processes: Callable[..., list[LiveProcess]], server: str
) -> None:
    """Cut off, its thread would wait for the loop for ever, and the process for the thread."""
    (process,) = live_processes(1, server=server, env={"METRICS_TOKEN": "token"})
    eve = Browser(process).sign_up("eve")
    shop = eve.call("POST", "/api/v1/shops/", {"name": "A shop", "currency": "EUR"})[1]["shop"]
    database = process.env["DATABASE_URL"].removeprefix("sqlite:///")
    answers: list[int] = []
    probe = Browser(process)

    def running() -> float:
        """How many requests are worked on; a probe is none of them."""
        told = probe.call("GET", "/metrics", Authorization="Bearer token")[1]
        return float(re.search(r"^livesale_requests_running (\S+)", told, re.M)[1])

    def rename() -> None:
        path = f"/api/v1/streams/{shop}/commands/shop.configure/"
        answers.append(eve.call("POST", path, {"name": "Another name"})[0])

    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        request = threading.Thread(target=rename)
        request.start()
        eventually(lambda: running() == 1)
        os.kill(process.pid, signal.SIGTERM)
        eventually(lambda: probe.call("GET", "/readyz")[0] == 503)
        writer.execute("ROLLBACK")
    request.join(30)
    assert answers == [200]
    eventually(lambda: not process.running)
    assert "Traceback" not in process.log
