"""Every way in which frames leave, on the real servers: whole, in order, bounded, whatever the client does."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import services
from tests.processes import ROOT, LiveProcess
from tests.wire.writer_app import frame

WAYS = {
    "daphne": "DaphneWriter",
    "uvicorn": "UvicornWriter",
    "uvicorn --loop asyncio": "UvicornWriter",
    "daphne, plain": "AsgiWriter",
    "uvicorn, plain": "AsgiWriter",
}
PATIENCE = 15.0


everywhere = pytest.mark.parametrize("way", WAYS, indirect=True, scope="module")
# Under plain ASGI what waits is the server's affair: daphne's `send` never waits, and the kernel takes megabytes.
where_we_see_what_waits = pytest.mark.parametrize(
    "way", [name for name in WAYS if "plain" not in name], indirect=True, scope="module"
)


class Way:
    """One way of leaving, on a server of its own."""

    def __init__(self, name: str, process: LiveProcess) -> None:
        self.writer = WAYS[name]
        self.process = process
        self._query = "?plain" if "plain" in name else ""

    async def connect(self, receive_buffer: int = 0) -> ClientConnection:
        link = socket.socket()
        if receive_buffer:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.connect((services.HOST, self.process.port))
        return await connect(
            f"{self.process.ws_url}/{self._query}",
            sock=link,
            proxy=None,
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
        )

    def get(self, path: str) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.process.base_url + path, timeout=5) as answer:
            return json.loads(answer.read())

    async def until(self, true: Any) -> dict[str, Any]:
        """The state, once it is as wanted."""
        async with asyncio.timeout(PATIENCE):
            while not true(state := await asyncio.to_thread(self.get, "/state")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return state


@pytest.fixture(scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    name: str = request.param
    folder = services.temporary_folder("writers")
    process = LiveProcess(
        server="daphne" if name.startswith("daphne") else "uvicorn",
        port=services.free_port(),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        folder=folder,
        application="tests.wire.writer_app:application",
        server_args=("--loop", "asyncio") if "--loop" in name else (),
    )
    process.start()
    try:
        yield Way(name, process)
    finally:
        process.kill9()
        services.remove_folder(folder)


async def hear(link: ClientConnection, count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [str(await link.recv()) for _ in range(count)]


def sent(first: int, count: int, size: int) -> list[str]:
    return [frame(n, size).payload.decode() for n in range(first, first + count)]


async def all_of(link: ClientConnection) -> list[str]:
    """Everything up to the end of the connection."""
    heard = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                heard.append(str(await link.recv()))
        except ConnectionClosed:
            return heard


@everywhere
async def test_frames_of_every_length_arrive_whole_and_in_order(way: Way):
    async with await way.connect() as link:
        state = await way.until(lambda s: s["open"])
        assert state["open"] == [[way.writer, 0]]
        first = 0
        for size in (70, 125, 126, 127, 65_535, 65_536, 70_000, 1_000_000):
            # together, what waits stays below the limit
            count = 1 if size > 100_000 else 3
            await link.send(json.dumps({"send": size, "count": count}))
            assert await hear(link, count) == sent(first, count, size)
            first += count


@where_we_see_what_waits
async def test_what_the_kernel_does_not_take_follows_in_order(way: Way):
    async with await way.connect(receive_buffer=4096) as link:
        link.transport.pause_reading()
        for _ in range(4):
            await link.send(json.dumps({"send": 1_000, "count": 100}))
        state = await way.until(lambda s: s["open"] and s["open"][0][1] > 0)
        assert state["waiting"] == 1
        # the server answers between our frames, never inside one
        pong = await link.ping()
        await link.send(json.dumps({"send": 10, "count": 1}))
        await asyncio.sleep(0)
        link.transport.resume_reading()
        assert await hear(link, 401) == [*sent(0, 400, 1_000), *sent(400, 1, 10)]
        await asyncio.wait_for(pong, PATIENCE)
        await way.until(lambda s: s["open"] == [[way.writer, 0]] and s["waiting"] == 0)
        await link.send(json.dumps({"send": 200, "count": 2}))
        assert await hear(link, 2) == sent(401, 2, 200)


@everywhere
async def test_what_goes_to_all_reaches_each_whole_and_in_order(way: Way):
    """Some read at once, one reads late: of each frame the kernel takes some connections' whole and others' in part."""
    async with await way.connect() as first, await way.connect() as second, await way.connect(4096) as late:
        await way.until(lambda s: len(s["open"]) == 3)
        late.transport.pause_reading()
        for part in range(4):
            await first.send(json.dumps({"send": 1_000, "count": 100, "all": True}))
            for link in (first, second):
                assert await hear(link, 100) == sent(part * 100, 100, 1_000)
        late.transport.resume_reading()
        assert await hear(late, 400) == sent(0, 400, 1_000)
        await way.until(lambda s: s["waiting"] == 0)
        await first.send(json.dumps({"send": 200, "count": 3, "all": True}))
        for link in (first, second, late):
            assert await hear(link, 3) == sent(400, 3, 200)


@where_we_see_what_waits
async def test_who_does_not_read_is_given_up_and_costs_little(way: Way):
    before = await way.until(lambda s: not s["open"])
    async with await way.connect(receive_buffer=4096) as link, await way.connect() as other:
        link.transport.pause_reading()
        await way.until(lambda s: len(s["open"]) == 2)
        heard = []
        for _ in range(10):
            await link.send(json.dumps({"send": 4_000, "count": 50}))
            await other.send(json.dumps({"send": 4_000, "count": 50}))
            heard += await hear(other, 50)
        assert heard == sent(0, 500, 4_000)
        state = await way.until(lambda s: len(s["open"]) == 1)
        assert state["ended"][len(before["ended"]) :] == ["SLOW"]
        assert state["rss_kib"] - before["rss_kib"] < 3_000
        # its connection is gone on our side, although it still holds its own and reads nothing: one is left
        await way.until(lambda s: s["descriptors"] <= before["descriptors"] + 1)
        link.transport.resume_reading()
        # an unbroken beginning of what it was sent, then the end
        got = [text for text in await all_of(link) if text != "bye"]
        assert got == sent(0, len(got), 4_000)
        assert len(got) < 500


@where_we_see_what_waits
async def test_a_kick_reaches_who_does_not_read(way: Way):
    before = await way.until(lambda s: not s["open"])
    async with await way.connect(receive_buffer=4096) as link:
        link.transport.pause_reading()
        await link.send(json.dumps({"send": 4_000, "count": 60}))
        await way.until(lambda s: s["open"] and s["open"][0][1] > 0)
        way.get("/kick")
        state = await way.until(lambda s: not s["open"])
        assert state["ended"][len(before["ended"]) :] == ["SIGN_IN_AGAIN"]


@everywhere
async def test_a_client_that_fragments_and_pings_while_it_is_written_to(way: Way):
    async with await way.connect() as link:
        await link.send(json.dumps({"send": 300, "count": 50}))
        await link.send(part for part in ('{"send": ', '300, "co', 'unt": 50}'))
        await asyncio.wait_for(await link.ping(), PATIENCE)
        assert await hear(link, 100) == sent(0, 100, 300)


@everywhere
@pytest.mark.parametrize("flush", [True, False])
async def test_nothing_comes_after_a_close(way: Way, flush: bool):
    async with await way.connect() as link:
        await link.send(json.dumps({"send": 500, "count": 20, "close": 4001, "flush": flush}))
        # asked for after the close: never sent
        await link.send(json.dumps({"send": 500, "count": 20}))
        heard = await all_of(link)
        expected = [*sent(0, 20, 500), "bye"]
        # without `flush`, what plain ASGI had not begun to send is dropped
        assert heard == expected or (
            not flush and way.writer == "AsgiWriter" and heard == [expected[0], "bye"]
        )
        assert link.close_code == 4001
    await way.until(lambda s: not s["open"])


@everywhere
async def test_nothing_is_left_of_a_connection_that_is_over(way: Way):
    """Not even for the garbage collector, which would find it minutes later."""
    before = await asyncio.to_thread(way.get, "/collector/off")
    try:
        for goes in range(30):
            link = await way.connect()
            await link.send(json.dumps({"send": 100, "count": 3}))
            await hear(link, 3)
            match goes % 3:
                case 0:
                    await link.close()
                case 1:
                    link.transport.abort()
                case 2:
                    await link.send(json.dumps({"close": 4000, "flush": True}))
                    await all_of(link)
        state = await way.until(lambda s: not s["open"] and s["connections"] <= before["connections"] + 2)
        assert state["open"] == []
    finally:
        await asyncio.to_thread(way.get, "/collector/on")
