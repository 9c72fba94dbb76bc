"""Some stop reading: what they cost the server, when they are let go, and whether the others feel it.

python -m tests.bench.slow [--quick]

Two hundred people in a room read and write; now and then five more join and never read. Messages are long and steady.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from tests import services
from tests.bench.fanout import machine
from tests.bench.fanout.house import House
from tests.bench.storm import HANDSHAKE, NO_DEFLATE, text_frame
from tests.processes import ROOT, LiveProcess, Server, live_processes
from tests.wire.backstage import Backstage

PAGE = ROOT / "docs" / "benchmarks" / "slow.md"
READERS, DEAF = 200, 5
# How often some come who do not read: of one time, three slow messages make the p99.
WAVES = 5
# Messages per second, and how long each is.
RATE, LENGTH = 20.0, 450
# Seconds between two looks at the server from outside, in every window.
LOOK = 0.25
MOST_MIB, MOST_SECONDS, MOST_RATIO = 2.0, 30.0, 1.5

PING, PONG = 9, 10

_SAID = re.compile(rb"at (\d+)!")


@dataclass(frozen=True)
class Found:
    quiet_ms: float
    """p99 of a message's way to all readers while everybody reads: before the slow ones come, and after they went."""
    loud_ms: float
    """The same while some do not read, until the last of them is let go."""
    closed_after: float
    """Seconds from the first message that they did not read until the server had let the last of them go."""
    mib: float
    """Memory of the server per socket that does not read, at its highest."""
    lost: int


class Reader(asyncio.Protocol):
    def __init__(self, hello: bytes, delays: list[tuple[float, float]]) -> None:
        self._hello, self._delays = hello, delays
        self._tail = b""
        self.transport: asyncio.Transport
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._tail + data
        at = 0
        if not self.open.done():
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._tail = data
                return
            self.open.set_result(None)
        # a server's frames are not masked
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                length, start = int.from_bytes(data[start : start + wide], "big"), start + wide
            if len(data) < start + length:
                break
            self._heard(data[at], data[start : start + length], now)
            at = start + length
        self._tail = data[at:]

    def _heard(self, first: int, payload: bytes, now: float) -> None:
        if first & 15 == PING:
            # a mask of zeros leaves it as it is
            self.transport.write(bytes([128 | PONG, 128 | len(payload), 0, 0, 0, 0]) + payload)
            return
        if not self.joined.done() and b'"type":"joined"' in payload:
            self.joined.set_result(None)
        for match in _SAID.finditer(payload):
            said = int(match[1]) / 1e6
            self._delays.append((said, (now - said) * 1000))
            self.heard += 1


async def run(process: LiveProcess, tokens: list[str], room: str, seconds: float) -> Found:
    loop = asyncio.get_running_loop()
    hello = HANDSHAKE.format(host=f"{services.HOST}:{process.port}", more="").encode()
    join = text_frame({"type": "join", "streams": [{"stream": room}]})
    delays: list[tuple[float, float]] = []

    async def come(token: str) -> Reader:
        _, reader = await loop.create_connection(lambda: Reader(hello, delays), services.HOST, process.port)
        async with asyncio.timeout(30):
            await reader.open
            reader.transport.write(text_frame({"type": "auth", "resume": token}) + join)
            await reader.joined
        return reader

    readers = []
    for first in range(0, READERS, 20):
        readers += await asyncio.gather(*(come(token) for token in tokens[first : first + 20]))
    await asyncio.sleep(1)

    sent = 0

    async def write(until: float) -> None:
        nonlocal sent
        due = time.monotonic()
        while time.monotonic() < until:
            text = f"at {int(time.monotonic() * 1e6)}! " + "漢" * LENGTH
            frame = {
                "type": "do",
                "id": str(uuid7()),
                "stream": room,
                "name": "message.send",
                "body": {"text": text},
            }
            readers[sent % READERS].transport.write(text_frame(frame))
            sent += 1
            # never faster to make up for a pause: a room shows only so many messages in two seconds
            due = max(due + 1 / RATE, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def all_read() -> tuple[list[float], float]:
        """How long messages take while everybody reads, and the server's memory: looked at as it is later on."""
        some = [reader.transport.get_extra_info("sockname")[1] for reader in readers[:DEAF]]
        memory = 0.0
        writing = asyncio.ensure_future(write(time.monotonic() + seconds))
        while not writing.done():
            await asyncio.sleep(LOOK)
            memory, _ = await asyncio.to_thread(_look, process, some)
        await writing
        await asyncio.sleep(1)
        return _taken(delays), memory

    async def some_do_not(words: list[bytes]) -> tuple[list[float], float, float]:
        """The same while some do not read, the seconds until the last was let go, and the memory at its highest."""
        deaf = [await _never_reads(process, hello, each) for each in words]
        ports = [link.getsockname()[1] for link in deaf]
        # those who read were given as long to arrive before anything was measured
        await asyncio.sleep(1)
        started, highest, closed_after = time.monotonic(), 0.0, float("inf")
        writing = asyncio.ensure_future(write(started + MOST_SECONDS + 10))
        while not writing.done():
            await asyncio.sleep(LOOK)
            memory, some_open = await asyncio.to_thread(_look, process, ports)
            highest = max(highest, memory)
            if not some_open:
                closed_after = time.monotonic() - started
                writing.cancel()
                break
        await asyncio.gather(writing, return_exceptions=True)
        await asyncio.sleep(1)
        for link in deaf:
            link.close()
        return _taken(delays), closed_after, highest

    quiet: list[float] = []
    loud: list[float] = []
    closed_after = grown = 0.0
    for first in range(READERS, len(tokens), DEAF):
        delayed, memory = await all_read()
        quiet += delayed
        words = [text_frame({"type": "auth", "resume": t}) + join for t in tokens[first : first + DEAF]]
        delayed, seconds_open, highest = await some_do_not(words)
        loud += delayed
        closed_after, grown = max(closed_after, seconds_open), max(grown, highest - memory)
    quiet += (await all_read())[0]
    lost = sum(sent - reader.heard for reader in readers)
    for reader in readers:
        reader.transport.abort()
    return Found(_p99(quiet), _p99(loud), closed_after, grown / DEAF / 1024**2, lost)


async def _never_reads(process: LiveProcess, hello: bytes, words: bytes) -> socket.socket:
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect((services.HOST, process.port))
    link.sendall(hello)
    await asyncio.to_thread(link.recv, 2_000)  # the answer to the handshake, and nothing after it
    link.sendall(words)
    return link


def _look(process: LiveProcess, ports: list[int]) -> tuple[float, bool]:
    """The server's memory in bytes, and whether it still holds its end of a client's port.

    Asked of the kernel: reading would make the client a reader.
    """
    mine = {f"{port:04X}" for port in ports}
    ours = f"{process.port:04X}"
    with open("/proc/net/tcp") as table:
        next(table)
        rows = [line.split(maxsplit=4)[1:4] for line in table]
    # 01: established
    held = any(state == "01" and remote[-4:] in mine and local[-4:] == ours for local, remote, state in rows)
    with open(f"/proc/{process.pid}/statm") as pages:
        return int(pages.read().split()[1]) * machine.PAGE, held


def _taken(delays: list[tuple[float, float]]) -> list[float]:
    """What was measured until now, in milliseconds; measuring begins anew."""
    taken = [delay for _, delay in delays]
    delays.clear()
    return taken


def _p99(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100)[98]


def measure(server: Server, args: tuple[str, ...], seconds: float, waves: int) -> Found:
    postgres, redis = services.PostgresServer(durable=True), services.RedisServer()
    try:
        with live_processes(
            1,
            server=server,
            database_url=postgres.create_database("slow"),
            redis_url=redis.url,
            channel_layer="pubsub",
            server_args=args,
            env={"LOG_LEVEL": "ERROR"},
        ) as (process,):
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), {0})
            house, backstage = House(process.env), Backstage(process.env)
            try:
                room = backstage.room(owner=backstage.person(name="Owner"))
                tokens = house.prepare(people=READERS + waves * DEAF, rooms=0).tokens
                return asyncio.run(run(process, tokens, room, seconds))
            finally:
                house.end()
                backstage.end()
    finally:
        redis.stop()
        postgres.stop()


def table(found: dict[str, Found]) -> str:
    lines = ["| | measured | wanted | |", "|---|---|---|---|"]
    for name, f in found.items():
        ratio = f.loud_ms / f.quiet_ms
        lines += [
            f"| {name}: memory per slow reader | {f.mib:.2f} MiB | ≤ {MOST_MIB:.0f} MiB | {_word(f.mib <= MOST_MIB)} |",
            f"| {name}: slow readers closed after | {f.closed_after:.1f} s | ≤ {MOST_SECONDS:.0f} s"
            f" | {_word(f.closed_after <= MOST_SECONDS)} |",
            f"| {name}: p99 of the others, with slow readers and without | {f.loud_ms:.0f} ms, {f.quiet_ms:.0f} ms"
            f" | ≤ {MOST_RATIO} × | {_word(ratio <= MOST_RATIO)} |",
            f"| {name}: messages that a reader missed | {f.lost} | 0 | {_word(f.lost == 0)} |",
        ]
    return "\n".join(lines)


def _word(passed: bool) -> str:
    return "pass" if passed else "falls short"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="uvicorn only; the page is not written")
    arguments = parser.parse_args()
    machine.allow_files(4_000)
    os.sched_setaffinity(0, {1})
    ways: list[tuple[Server, tuple[str, ...]]] = [("uvicorn", NO_DEFLATE), ("daphne", ())]
    found: dict[str, Found] = {}
    for server, args in ways[:1] if arguments.quick else ways:
        found[server] = measure(server, args, *((8.0, 1) if arguments.quick else (10.0, WAVES)))
        print(server, json.dumps(found[server].__dict__), flush=True)
    print("\n" + table(found))
    if not arguments.quick:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(found))
    return 0


def page(found: dict[str, Found]) -> str:
    return f"""# Slow readers

`python -m tests.bench.slow {" ".join(sys.argv[1:])}` on {datetime.now(UTC):%Y-%m-%d}.

{READERS} people in a room read and write, {RATE:.0f} messages of {LENGTH:,} Han characters a second, all through the
log. {WAVES} times {DEAF} more join with receive buffers of 4 KiB and never read, until they are let go; before, between
and afterwards all goes on without them. Memory is the server's growth at its highest, divided by {DEAF}. Latency is
from the writer's send to each reader, on one machine's clock.

{table(found)}

{machine.description()}. Server on one core; clients, PostgreSQL (commits durable) and Redis on the other.
"""


if __name__ == "__main__":
    raise SystemExit(main())
