"""A process is killed under everybody's sockets: all come back at once, to the other one, and the database hardly
notices.

The benchmark `tests.bench.storm` measures the same; this is about what has to hold on any machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import services
from tests.bench.fanout import machine
from tests.bench.fanout.house import House
from tests.bench.storm import HANDSHAKE, MISSED, Client, come, text_frame
from tests.processes import LiveProcess, Server
from tests.wire.backstage import Backstage

# All are back within a minute, and each has cost the database less than one query. On a machine that is busy they come
# a few at a time, and whoever comes alone shares a read with nobody: then it is so many in a second at most.
SECONDS = 60.0
QUERIES = 1.0
QUERIES_A_SECOND = 300.0
SAID = b"while you were away"


def transactions(url: str) -> int:
    """Committed on that database so far. Outside a transaction every query is one."""
    with psycopg.connect(url) as link:
        found = link.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])


# A process keeps eight connections (docs/operations.md); the rest are those of the two helpers and of `transactions`.
CONNECTIONS = 2 * 8 + 3


async def backends(url: str, most: list[int]) -> None:
    """Note again and again how many connections there are, and refuse one that keeps a transaction open."""
    # by way of another database: what is asked here does not count there
    elsewhere = psycopg.AsyncConnection.connect(url, dbname="postgres", autocommit=True)
    async with await elsewhere as link:
        while True:
            found = await link.execute(
                "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%%' "
                "AND clock_timestamp() - state_change > interval '5 s') FROM pg_stat_activity "
                "WHERE datname = %s",
                [urlsplit(url).path[1:]],
            )
            row = await found.fetchone()
            assert row is not None
            assert row[1] == 0, "a connection keeps its transaction"
            most.append(row[0])
            await asyncio.sleep(0.02)


async def until_lost(client: Client) -> None:
    while not client.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def storm(
    doomed: LiveProcess, refuge: LiveProcess, tokens: list[str], room: str, backstage: Backstage, url: str
) -> tuple[list[Client], int, float, list[int]]:
    """Kill one process under all these people's sockets: how they fared on the other, and what it cost."""
    connections: list[int] = []
    counting = asyncio.create_task(backends(url, connections))
    auth = [text_frame({"type": "auth", "resume": token}) for token in tokens]

    def hello(process: LiveProcess) -> list[bytes]:
        return [HANDSHAKE.format(host=f"{services.HOST}:{process.port}", more="").encode()] * len(tokens)

    first = text_frame({"type": "join", "streams": [{"stream": room}]})
    there = await come(
        doomed.port, hello(doomed), [a + first for a in auth], lambda heard: b'"type":"joined"' in heard
    )
    found = re.search(rb'"epoch":(\d+),"seq":(\d+)', bytes(there[0].heard))
    assert found is not None
    position = {"stream": room, "after": int(found[2]), "epoch": int(found[1])}
    await asyncio.to_thread(doomed.kill9)
    await asyncio.gather(*(until_lost(client) for client in there))
    await asyncio.to_thread(backstage.crowd_says, stream=room, people=MISSED // 3, text=SAID.decode())

    again = text_frame({"type": "join", "streams": [position]})
    before, started = await asyncio.to_thread(transactions, url), time.monotonic()
    back = await come(
        refuge.port,
        hello(refuge),
        [a + again for a in auth],
        lambda heard: b'"mode":"replay"' in heard and heard.count(SAID) >= MISSED,
    )
    seconds = time.monotonic() - started
    for client in back:
        client.transport.abort()
    await asyncio.sleep(0.1)  # the loop closes what was cut
    assert not counting.done(), counting
    counting.cancel()
    await asyncio.wait({counting})
    return back, before, seconds, connections


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("people", [400, pytest.param(5_000, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("server", ["daphne", pytest.param("uvicorn", marks=pytest.mark.heavy)])
def test_all_are_back_and_the_database_hardly_notices(
    server: Server,
    people: int,
    postgres_url: str,
    redis_server: services.RedisService,
    live_processes: Callable[..., list[LiveProcess]],
) -> None:
    machine.allow_files(people * 2 + 1_000)
    doomed, refuge = live_processes(2, server=server, database_url=postgres_url, redis_url=redis_server.url)
    house, backstage = House(doomed.env), Backstage(doomed.env)
    try:
        tokens = house.prepare(people=people, rooms=0).tokens
        room = backstage.room(owner=backstage.person(name="Owner"))
        back, before, seconds, connections = asyncio.run(
            storm(doomed, refuge, tokens, room, backstage, postgres_url)
        )
    finally:
        house.end()
        backstage.end()
    # a connection tells what it has done at the latest when it ends
    refuge.sigterm()
    asked = transactions(postgres_url) - before
    print(
        f"\n{server}: {people} back after {seconds:.1f} s, {asked / people:.2f} transactions each, "
        f"{max(connections)} connections at most, looked at {len(connections)} times"
    )
    assert [bytes(client.heard).count(SAID) for client in back] == [MISSED] * people
    assert asked < max(QUERIES * people, QUERIES_A_SECOND * seconds)
    assert seconds < SECONDS
    assert len(connections) > 20
    assert max(connections) <= CONNECTIONS
