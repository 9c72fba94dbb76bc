"""What is asked: the cells, who takes part in which, and what the product wants to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.fanout.generator import Load
from tests.bench.fanout.runs import Cell
from tests.bench.fanout.subjects import RIVALS, Subject, ours

SERVERS = ("uvicorn", "daphne")
STOCK = tuple(s for s in RIVALS.values() if s.family == "stock")
FAST = tuple(s for s in RIVALS.values() if s.family == "fast")


def signals_each(server: str) -> Subject:
    """One frame per message and socket: what the rivals do."""
    return ours(server, "signal", ("socket-rate", "signal-tick"))


def durable_each(server: str) -> Subject:
    return ours(server, "durable", ("socket-rate", "message-rate", "room-ceiling", "tick"))


def durable_crowd(server: str) -> Subject:
    """More messages than a room shows by itself, in the product's own ticks."""
    return ours(server, "durable", ("room-ceiling",))


def signals(server: str) -> Subject:
    return ours(server, "signal")


def durable(server: str) -> Subject:
    return ours(server, "durable")


def full() -> list[Cell]:
    """The verdict. A rate is sent by as many people as keep the limits of each.

    Five repetitions where ratios are judged, three where latency and ticks are, one where nothing is.
    """
    wide = Load(10_000, 20, rate=20, warm=3, seconds=10, patience=300)
    return [
        Cell(
            "closed-500",
            "500 sockets in one room, closed loop, 4 senders: what a delivery costs at full speed",
            Load(500, 4),
            (*STOCK, *FAST, *map(signals_each, SERVERS), durable_each("uvicorn")),
            repetitions=5,
        ),
        Cell(
            "closed-2000",
            "2,000 sockets in one room, closed loop, 2 senders",
            Load(2_000, 2),
            (*STOCK, *FAST, *map(signals_each, SERVERS)),
            repetitions=1,
            stock_seconds=8.0,
        ),
        Cell(
            "rate-2",
            "500 sockets, 2 messages/s: what everybody can do",
            Load(500, 2, rate=2, warm=2, seconds=30),
            (*STOCK, *map(signals, SERVERS), *map(durable, SERVERS)),
            repetitions=1,
            stock_seconds=10.0,
        ),
        Cell(
            "rate-20",
            "500 sockets, 20 messages/s",
            Load(500, 20, rate=20, warm=2, seconds=8),
            (*FAST, *map(signals_each, SERVERS), *map(durable, SERVERS)),
        ),
        Cell(
            "rate-100",
            "500 sockets, 100 messages/s: rivals one by one, the product in its ticks",
            Load(500, 100, rate=100, warm=2, seconds=8),
            (*FAST, *map(signals, SERVERS), *map(durable_crowd, SERVERS)),
        ),
        Cell(
            "wide",
            "10,000 sockets in one room, 20 messages/s, 1 process on one core",
            wide,
            (durable("uvicorn"),),
        ),
        Cell(
            "wide-2",
            "10,000 sockets in one room, 20 messages/s, 2 processes on both cores, and all else beside them",
            wide,
            (durable("uvicorn"),),
            processes=2,
        ),
        Cell(
            "rooms-1",
            "10,000 sockets in 1 room, 2 messages/s: 20,000 deliveries/s",
            replace(wide, senders=2, rate=2),
            (signals("uvicorn"),),
            repetitions=1,
        ),
        Cell(
            "rooms-400",
            "400 rooms of 25 sockets, 800 messages/s: 20,000 deliveries/s",
            replace(wide, senders=400, rooms=400, rate=800),
            (signals("uvicorn"),),
            repetitions=1,
        ),
        *growth(),
    ]


def growth() -> list[Cell]:
    return [
        Cell(
            f"growth-{sockets}-{processes}",
            f"{sockets:,} sockets, closed loop, 2 senders, "
            + ("1 process" if processes == 1 else f"{processes} processes, not pinned"),
            Load(sockets, 2, patience=300),
            (signals_each("uvicorn"), *([RIVALS["floor"]] if processes == 1 else [])),
            repetitions=1,
            processes=processes,
        )
        for processes in (1, 2)
        for sockets in (100, 500, 1_000, 2_000, 5_000, 10_000)
    ]


def quick() -> list[Cell]:
    """What fits into five minutes: one run each, with its doubts."""
    return [
        Cell(
            "closed-500",
            "500 sockets in one room, closed loop, 4 senders",
            Load(500, 4, warm=1, seconds=2.5),
            (*STOCK, *FAST, *map(signals_each, SERVERS)),
            repetitions=1,
            tries=1,
            quiet_patience=3.0,
        ),
        Cell(
            "rate-100",
            "500 sockets, 100 messages/s: rivals one by one, the product in its ticks",
            Load(500, 100, rate=100, warm=1, seconds=4),
            (RIVALS["ws"], RIVALS["nchan"], *map(durable_crowd, SERVERS)),
            repetitions=1,
            tries=1,
            quiet_patience=3.0,
        ),
    ]


IDLE_SOCKETS = 2_000


def idle_entrants() -> tuple[Subject, ...]:
    return (*STOCK, *FAST, *map(signals, SERVERS))


Kind = Literal["times", "at most", "ms", "KiB"]


@dataclass(frozen=True)
class Target:
    """One thing the product wants to reach, on each of the named servers."""

    what: str
    cell: str
    kind: Kind
    """times: the rival's CPU in ours, at least; at most: ours in the rival's; ms: p99; KiB: per idle socket."""
    wanted: dict[str, float]
    """By the key of our entrant."""
    rival: str = ""


def _cheaper(rival: str, times: float, than: str) -> Target:
    keys = [f"ours-{server}-signal-each" for server in SERVERS]
    return Target(
        f"CPU per delivery, against {than}", "closed-500", "times", dict.fromkeys(keys, times), rival
    )


TARGETS = [
    _cheaper("daphne-core", 40, "the Channels tutorial, daphne, core layer"),
    _cheaper("daphne-pubsub", 30, "the Channels tutorial, daphne, PubSub layer"),
    _cheaper("uvicorn-pubsub", 20, "the Channels tutorial, uvicorn, PubSub layer"),
    _cheaper("uvicorn-no-hop", 10, "the same without its thread hop"),
    _cheaper("socketio", 1.5, "Socket.IO, message by message"),
    _cheaper("ws", 1.25, "npm ws, message by message"),
    _cheaper("nchan", 0.7, "nchan without Redis, message by message"),
    Target(
        "CPU per delivery, as a multiple of the C floor",
        "closed-500",
        "at most",
        {f"ours-{server}-signal-each": 1.6 for server in SERVERS},
        "floor",
    ),
    Target(
        "100 durable messages/s into 500 sockets, log included: CPU per delivery against npm ws",
        "rate-100",
        "times",
        {f"ours-{server}-durable": 2.5 for server in SERVERS},
        "ws",
    ),
    Target(
        "the same against nchan without Redis",
        "rate-100",
        "times",
        {f"ours-{server}-durable": 1.8 for server in SERVERS},
        "nchan",
    ),
    Target(
        "p99 of durable messages, 500 sockets, 20 messages/s",
        "rate-20",
        "ms",
        {"ours-uvicorn-durable": 25, "ours-daphne-durable": 45},
    ),
    Target(
        "p99 of durable messages, 10,000 sockets in one room, 20 messages/s, none lost: 1 process on one core",
        "wide",
        "ms",
        {"ours-uvicorn-durable": 250},
    ),
    Target(
        "the same: 2 processes on both cores",
        "wide-2",
        "ms",
        {"ours-uvicorn-durable": 250},
    ),
    Target(
        "memory of a quiet, joined socket",
        "idle",
        "KiB",
        {f"ours-{server}-signal": 40 for server in SERVERS},
    ),
]
