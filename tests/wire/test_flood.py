"""Two hundred megabytes poured into a server that is busy: what it keeps of them is bounded.

A handler is busy while it waits for the database: here somebody holds the table that joining a room reads. What a
client sends meanwhile has to wait somewhere, and that must be the client's own side of the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from tests import services
from tests.processes import LiveProcess, Server
from tests.wire.backstage import Backstage
from tests.wire.raw import TEXT, frame, text

MEGABYTE = 1 << 20
POURED = 200 * MEGABYTE
# What a process may keep of it: the kernel's share is not counted, a few frames on their way are.
KEPT = 24 * MEGABYTE
SOCKETS = 4
# Without anything taken for so long the server reads no more.
STUCK = 2.0

HANDSHAKE = (
    "GET /ws/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def most_memory(process: LiveProcess) -> int:
    """The most that the process has ever had in memory, in bytes, since it was last forgotten."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_most(process: LiveProcess) -> None:
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


@contextmanager
def held(url: str, table: str) -> Iterator[None]:
    with psycopg.connect(url) as link:
        link.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        yield
        link.rollback()


async def pour_on(process: LiveProcess, first: bytes, amount: int) -> int:
    """Pour until it is all taken, on a new socket whenever one was closed."""
    taken = 0
    while taken < amount:
        taken += await pour(process, first, amount - taken)
    return taken


async def pour(process: LiveProcess, first: bytes, amount: int) -> int:
    """Send `first`, then as much as is taken of `amount` bytes in frames on one socket; how much that was."""
    reader, writer = await asyncio.open_connection(services.HOST, process.port)
    taken = 0
    try:
        writer.write(HANDSHAKE.format(host=f"{services.HOST}:{process.port}").encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        flood = frame(TEXT, b'{"type":"ping","x":"' + b"a" * 60_000 + b'"}')
        while taken < amount:
            writer.write(flood)
            async with asyncio.timeout(STUCK):
                await writer.drain()
            taken += len(flood)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
    return taken


@pytest.mark.faults
@pytest.mark.parametrize("busy", [pytest.param(False, marks=pytest.mark.heavy), True], ids=["idle", "busy"])
@pytest.mark.parametrize("server", get_args(Server))
async def test_what_is_poured_in_is_not_kept(
    server: Server, busy: bool, postgres_url: str, live_processes: Callable[..., list[LiveProcess]]
) -> None:
    (process,) = live_processes(1, server=server, database_url=postgres_url)
    backstage = Backstage(process.env)
    room = backstage.room(owner=backstage.person())
    backstage.end()
    join = text({"type": "join", "streams": [{"stream": room}]})
    await pour(process, join, MEGABYTE)
    forget_most(process)
    before = most_memory(process)
    if busy:
        with held(postgres_url, "room"):
            taken = await asyncio.gather(*(pour(process, join, POURED // SOCKETS) for _ in range(SOCKETS)))
        # neither was it all taken, nor was it refused
        assert 0 < sum(taken) < POURED
    else:
        taken = await asyncio.gather(*(pour_on(process, join, POURED // SOCKETS) for _ in range(SOCKETS)))
    grown = most_memory(process) - before
    print(
        f"\n{server}, busy {busy}: {sum(taken) / MEGABYTE:.0f} MB taken, {grown / MEGABYTE:.1f} MB more in memory"
    )
    # it may have much to put away first
    process.wait_ready()
    assert grown < KEPT
