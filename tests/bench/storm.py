"""Everybody drops and comes back: how long until all are there again, and what one return costs.

python -m tests.bench.storm [--clients 5000] [--quick]

Clients of ours connect with a resume token, say how far they had the room, and must get every message that was written
while they were away. Beside them the consumer of the Channels tutorial with sessions, which promises nothing of the
kind: connect, look the user up, join the group, answer once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from tests import services
from tests.bench.fanout import machine
from tests.bench.fanout.house import House
from tests.processes import ROOT, LiveProcess, Server, live_processes
from tests.wire.backstage import Backstage

PAGE = ROOT / "docs" / "benchmarks" / "storm.md"
# Handshakes at once: more would fill the listening socket's queue.
IN_FLIGHT = 64
# Written while everybody is away.
MISSED = 21
SECONDS = 60.0
QUERIES = 1.0

HANDSHAKE = (
    "GET /ws/ HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


@dataclass(frozen=True)
class Subject:
    name: str
    server: Server
    ours: bool
    args: tuple[str, ...] = ()


NO_DEFLATE = ("--ws-per-message-deflate", "false")
SUBJECTS = [
    Subject("livesale on uvicorn", "uvicorn", True, NO_DEFLATE),
    Subject("livesale on daphne", "daphne", True),
    Subject("Channels with sessions on uvicorn", "uvicorn", False, NO_DEFLATE),
    Subject("Channels with sessions on daphne", "daphne", False),
]


@dataclass(frozen=True)
class Storm:
    seconds: float
    server_us: float
    """CPU of the server process per return."""
    database_us: float
    """CPU of Redis and all PostgreSQL processes per return."""
    transactions: float
    """Of the database, per return: outside a transaction every query is one."""


def text_frame(message: object) -> bytes:
    """A client's frame, masked with zeros."""
    payload = json.dumps(message).encode()
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + payload


class Client(asyncio.Protocol):
    """Connects, says its first words, and waits until it has heard all that it must hear."""

    def __init__(self, hello: bytes, words: bytes, enough: Callable[[bytearray], bool]) -> None:
        self._hello, self._words, self._enough = hello, words, enough
        self._spoken = False
        self.heard = bytearray()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            return
        self.heard += data
        if not self._spoken and b"\r\n\r\n" in self.heard:
            if not self.heard.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(bytes(self.heard[:80]).decode("latin-1")))
                return
            self._spoken = True
            self.transport.write(self._words)
        if self._spoken and self._enough(self.heard):
            self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"lost: {error}, after {bytes(self.heard[-80:])!r}"))


async def come(
    port: int, hello: list[bytes], words: list[bytes], enough: Callable[[bytearray], bool]
) -> list[Client]:
    """All of them, a few handshakes at a time; comes back when every one has heard enough."""
    doors = asyncio.Semaphore(IN_FLIGHT)
    loop = asyncio.get_running_loop()

    async def one(number: int) -> Client:
        async with doors:
            _, client = await loop.create_connection(
                lambda: Client(hello[number], words[number], enough), services.HOST, port
            )
            async with asyncio.timeout(120):
                await client.ready
            return client

    return list(await asyncio.gather(*(one(n) for n in range(len(words)))))


class Meter:
    """CPU and transactions of one server with its database and Redis."""

    def __init__(self, process: LiveProcess, beside: list[int], url: str) -> None:
        self._process, self._beside, self._url = process.pid, beside, url

    def read(self) -> tuple[float, float, int]:
        with psycopg.connect(self._url) as link:
            found = link.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert found is not None
        return (
            machine.cpu_ticks([self._process]) / machine.TICKS,
            machine.cpu_ticks(self._beside) / machine.TICKS,
            found[0],
        )


async def storm_of_ours(
    process: LiveProcess, meter: Meter, house: House, backstage: Backstage, count: int
) -> Storm:
    owner = backstage.person(name="Owner")
    room = backstage.room(owner=owner)
    tokens = house.prepare(people=count, rooms=0).tokens
    hello = [HANDSHAKE.format(host=f"{services.HOST}:{process.port}", more="").encode()] * count
    auth = [text_frame({"type": "auth", "resume": token}) for token in tokens]
    first = text_frame({"type": "join", "streams": [{"stream": room}]})
    clients = await come(
        process.port, hello, [a + first for a in auth], lambda heard: b'"type":"joined"' in heard
    )
    found = re.search(rb'"epoch":(\d+),"seq":(\d+)', bytes(clients[0].heard))
    assert found is not None
    epoch, seq = int(found[1]), int(found[2])
    for client in clients:
        client.transport.abort()
    backstage.crowd_says(stream=room, people=MISSED // 3, text="while you were away")
    await asyncio.sleep(2)
    again = text_frame({"type": "join", "streams": [{"stream": room, "after": seq, "epoch": epoch}]})

    def whole(heard: bytearray) -> bool:
        return heard.count(b"while you were away") >= MISSED

    before, started = meter.read(), time.monotonic()
    clients = await come(process.port, hello, [a + again for a in auth], whole)
    seconds, after = time.monotonic() - started, meter.read()
    wrong = [
        c
        for c in clients
        if b'"mode":"replay"' not in c.heard or bytes(c.heard).count(b"while you were away") != MISSED
    ]
    if wrong:
        raise SystemExit(
            f"{len(wrong)} clients did not get each missed message once: {bytes(wrong[0].heard)[-500:]!r}"
        )
    for client in clients:
        client.transport.abort()
    return _storm(before, after, seconds, count)


async def storm_of_stock(process: LiveProcess, meter: Meter, count: int) -> Storm:
    keys = json.loads(
        subprocess.run(
            [sys.executable, "-m", "tests.bench.storm", "--sessions", str(count)],
            env=process.env,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    hello = [
        HANDSHAKE.format(
            host=f"{services.HOST}:{process.port}",
            more=f"Cookie: sessionid={key}\r\nOrigin: {process.origin}\r\n",
        ).encode()
        for key in keys
    ]
    words = [text_frame({"type": "join"})] * count
    before, started = meter.read(), time.monotonic()
    clients = await come(process.port, hello, words, lambda heard: b'"type": "joined"' in heard)
    seconds, after = time.monotonic() - started, meter.read()
    for client in clients:
        client.transport.abort()
    return _storm(before, after, seconds, count)


def _storm(
    before: tuple[float, float, int], after: tuple[float, float, int], seconds: float, count: int
) -> Storm:
    server, database, transactions = (b - a for a, b in zip(before, after, strict=True))
    return Storm(seconds, server / count * 1e6, database / count * 1e6, transactions / count)


def sessions(count: int) -> None:
    """So many people with a session each; prints the keys."""
    import django

    django.setup()
    from uuid import uuid4

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    from livesale.accounts.models import User

    people = [
        User(email=f"{uuid4().hex}@example.org", name=f"Person {n}", password="!") for n in range(count)
    ]
    User.objects.bulk_create(people, batch_size=1_000)
    store = SessionStore()
    rows = [
        Session(
            session_key=uuid4().hex,
            session_data=store.encode(
                {
                    SESSION_KEY: str(user.pk),
                    BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
                    HASH_SESSION_KEY: user.get_session_auth_hash(),
                }
            ),
            expire_date=datetime(2100, 1, 1, tzinfo=UTC),
        )
        for user in people
    ]
    Session.objects.bulk_create(rows, batch_size=1_000)
    print(json.dumps([row.session_key for row in rows]))


def measure(
    subject: Subject,
    count: int,
    postgres: services.PostgresServer,
    redis: services.RedisServer,
    beside: list[int],
) -> Storm:
    name = f"storm_{time.monotonic_ns()}"
    url = postgres.create_database(name)
    application = "livesale.asgi:application" if subject.ours else "tests.bench.stock_consumer:application"
    with live_processes(
        1,
        server=subject.server,
        database_url=url,
        redis_url=redis.url,
        channel_layer="pubsub",
        application=application,
        server_args=subject.args,
        env={"LOG_LEVEL": "ERROR"},
    ) as (process,):
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            os.sched_setaffinity(int(thread), {0})
        meter = Meter(process, beside, url)
        if not subject.ours:
            return asyncio.run(storm_of_stock(process, meter, count))
        house, backstage = House(process.env), Backstage(process.env)
        try:
            return asyncio.run(storm_of_ours(process, meter, house, backstage, count))
        finally:
            house.end()
            backstage.end()


def table(found: dict[str, list[Storm]], count: int) -> str:
    lines = [
        "| | all back after s | accepts / s | CPU µs per return: server + database | transactions per return |",
        "|---|---|---|---|---|",
    ]
    for name, storms in found.items():
        seconds, server, database, transactions = (
            statistics.median(getattr(s, key) for s in storms)
            for key in ("seconds", "server_us", "database_us", "transactions")
        )
        lines.append(
            f"| {name} | {seconds:.1f} | {count / seconds:,.0f}"
            f" | {server:,.0f} + {database:,.0f} | {transactions:.2f} |"
        )
    lines += ["", "| target | measured | wanted | |", "|---|---|---|---|"]
    for name, storms in found.items():
        if not name.startswith("livesale"):
            continue
        slowest = max(s.seconds for s in storms)
        most = max(s.transactions for s in storms)
        lines.append(
            f"| {name}: {count:,} back | {slowest:.1f} s | ≤ {SECONDS:.0f} s | {_word(slowest <= SECONDS)} |"
        )
        lines.append(
            f"| {name}: queries per client | {most:.2f} | < {QUERIES:.0f} | {_word(most < QUERIES)} |"
        )
    return "\n".join(lines)


def _word(passed: bool) -> str:
    return "pass" if passed else "falls short"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clients", type=int, default=None, help="how many (default: 5000)")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument(
        "--quick", action="store_true", help="1,000 clients, one round; the page is not written"
    )
    parser.add_argument("--sessions", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sessions:
        sessions(arguments.sessions)
        return 0
    count = arguments.clients or (1_000 if arguments.quick else 5_000)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    machine.allow_files(count * 2 + 1_000)
    os.sched_setaffinity(0, {1})
    # servers named by the environment may stand on another machine: what they use cannot be seen then
    postgres, redis = services.PostgresServer(durable=True), services.RedisServer()
    found: dict[str, list[Storm]] = {subject.name: [] for subject in SUBJECTS}
    try:
        postmaster = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
        beside = [postmaster, *([redis._program.pid] if redis._program else [])]
        for number in range(rounds):
            for subject in SUBJECTS if number % 2 == 0 else reversed(SUBJECTS):
                storm = measure(subject, count, postgres, redis, beside)
                found[subject.name].append(storm)
                print(
                    f"round {number + 1} {subject.name:34} {storm.seconds:6.1f} s"
                    f"  CPU {storm.server_us:6,.0f} + {storm.database_us:5,.0f} µs"
                    f"  {storm.transactions:5.2f} transactions per return",
                    flush=True,
                )
    finally:
        redis.stop()
        postgres.stop()
    print("\n" + table(found, count))
    if not arguments.quick:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(found, count, rounds))
    return 0


def page(found: dict[str, list[Storm]], count: int, rounds: int) -> str:
    return f"""# Storm: {count:,} clients dropped, and back

`python -m tests.bench.storm {" ".join(sys.argv[1:])}` on {datetime.now(UTC):%Y-%m-%d}; medians of {rounds} rounds.

Every client's connection is cut; {MISSED} messages are written; all come back, {IN_FLIGHT} handshakes at a time. A
client of livesale shows its resume token, names its room and how far it had it, and is back when it has heard each of
the {MISSED} messages, once. A client of the Channels tutorial shows its session cookie, is looked up, joins a group and
is answered once; nothing that it missed comes.

{table(found, count)}

{machine.description()}

Server on one core; clients, PostgreSQL (commits durable) and Redis on the other.
"""


if __name__ == "__main__":
    raise SystemExit(main())
