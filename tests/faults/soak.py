"""A crowd that comes and goes for as long as you like, faults now and then, and what grows meanwhile.

python -m tests.faults.soak [--minutes 60] [--seed N]

Every ten seconds: memory, descriptors and threads of each process, connections to the database, clients of Redis. At
the end their slopes after a warm-up with a verdict, the most connections there were against the bound, what the
processes have counted against what the database has, and every client's history as the nemesis judges it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests import services
from tests.faults import kinds
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.nemesis import HOPELESS, STOCK, strike
from tests.faults.probe import Probe
from tests.faults.scene import Scene
from tests.faults.site import METRICS_TOKEN, Postgres, Seat, Site, open_site
from tests.faults.verdict import judge, settle
from tests.proofs.stage import Stage

EVERY = 10.0
# Seconds between two faults, on average.
FAULT_EVERY = 60.0
# What processes live through: after a restart there would be nothing to compare with.
GENTLE = (
    "app SIGSTOP",
    "redis kill -9",
    "redis FLUSHALL",
    "redis link of one cut 3 s",
    "redis link swallowed",
    "postgres immediate restart",
    "postgres link cut before COMMIT",
    "postgres link cut after COMMIT",
    "postgres link swallowed",
    "clients' links cut",
)
# Of each process: connections that it keeps, and those of probes and of who looks at the books. On top of them come
# those of the requests that it works on.
KEPT = 10
REQUESTS_AT_ONCE = 12
# What may grow in an hour. Memory in MB: caches fill for a while, a leak goes on.
MOST = {"memory": 8.0, "descriptors": 20.0, "threads": 4.0, "redis clients": 6.0, "connections": 6.0}
PEOPLE_PAUSE = 0.9
# Minutes of which slopes are judged.
LONG_ENOUGH = 20


@dataclass
class Samples:
    """One figure over time."""

    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        self.at.append(at)
        self.values.append(value)

    def quarters(self) -> list[float]:
        """The median of each quarter of the time."""
        size = max(1, len(self.values) // 4)
        return [
            statistics.median(self.values[i : i + size]) for i in range(0, 4 * size, size) if self.values[i:]
        ]

    def slope(self, warm: float) -> float:
        """Per hour, by least squares, after the warm-up."""
        pairs = [(t, v) for t, v in zip(self.at, self.values, strict=True) if t >= warm]
        if len(pairs) < 3:
            return 0.0
        mean_t = sum(t for t, _ in pairs) / len(pairs)
        mean_v = sum(v for _, v in pairs) / len(pairs)
        below = sum((t - mean_t) ** 2 for t, _ in pairs)
        return sum((t - mean_t) * (v - mean_v) for t, v in pairs) / below * 3600 if below else 0.0


class Watch:
    """Looks at the processes from outside."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._began = time.monotonic()
        self.found: dict[tuple[str, str], Samples] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        now = time.monotonic() - self._began
        for seat in self._site.seats:
            with contextlib.suppress(OSError):
                for what, value in of_process(seat.process.pid).items():
                    self._note(now, seat.name, what, value)
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._site.database_url) as link:
            row = link.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            ).fetchone()
            self._note(now, "postgres", "connections", float(row[0]) if row else 0.0)
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self._site.redis.url) as client:
            self._note(now, "redis", "redis clients", float(client.info("clients")["connected_clients"]))

    def _note(self, now: float, who: str, what: str, value: float) -> None:
        self.found.setdefault((who, what), Samples()).add(now, value)


def of_process(pid: int) -> dict[str, float]:
    """Memory in MB, open descriptors and threads of a process."""
    told = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return {
        "memory": int(told["VmRSS"].split()[0]) / 1024,
        "threads": float(told["Threads"]),
        "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
    }


def metrics(seat: Seat) -> dict[str, float]:
    asked = urllib.request.Request(
        f"{seat.process.base_url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in lines}


def counted(site: Site) -> Counter[str]:
    """What all processes together say of themselves."""
    total: Counter[str] = Counter()
    for seat in site.seats:
        for name, value in metrics(seat).items():
            if name == "livesale_events_total":
                total["events"] += int(value)
            elif name.startswith("livesale_commands_total") and 'result="ok"' in name:
                total["carried out"] += int(value)
                if 'command="message.send"' in name:
                    total["messages"] += int(value)
    return total


async def soak(site: Site, books: Stage, seconds: float, seed: int) -> tuple[History, Watch, list[str]]:
    chance = random.Random(seed)
    history = History()
    scene = await asyncio.to_thread(Scene, books, people=56, stock=STOCK, hold=5)
    before = await asyncio.to_thread(books.totals)
    crowd = Crowd(site, scene, history, random.Random(seed))
    probe, watch = Probe(crowd), Watch(site)
    nemesis = kinds.Nemesis(site, crowd, chance)
    await crowd.come(actors=40, readers=4, requesters=4, pause=PEOPLE_PAUSE)
    watching = asyncio.create_task(watch.run())
    churning = asyncio.create_task(churn(crowd, chance))
    until = time.monotonic() + seconds
    said_at = time.monotonic()
    while time.monotonic() < until:
        await asyncio.sleep(min(chance.expovariate(1 / FAULT_EVERY), max(0.0, until - time.monotonic())))
        if time.monotonic() < until:
            blow = await strike(chance.choice(GENTLE), nemesis, probe, history)
            history.counts[f"fault: {blow.name}"] += 1
            history.took(f"recovery after {blow.name}", blow.took)
        if time.monotonic() - said_at > 60:
            said_at = time.monotonic()
            left = (until - said_at) / 60
            print(
                f"{left:5.0f} min left, {len(history.commands)} commands, {len(history.wrong)} wrong",
                flush=True,
            )
    churning.cancel()
    await probe.recovered(site.seats, HOPELESS)
    await settle(crowd, probe, books)
    watching.cancel()
    await asyncio.to_thread(judge, crowd, books)
    after = await asyncio.to_thread(books.totals)
    rows = await asyncio.to_thread(compare, site, before, after)
    await crowd.go()
    return history, watch, rows


async def churn(crowd: Crowd, chance: random.Random) -> None:
    """Somebody is always leaving, and comes back: half of them politely."""
    while True:
        await asyncio.sleep(chance.expovariate(4))
        chance.choice([*crowd.members, *crowd.readers]).cut()


def compare(site: Site, before: dict[str, int], after: dict[str, int]) -> list[str]:
    """What the processes have counted, and what came into the database since."""
    told = counted(site)
    rows = []
    for name in ("events", "messages"):
        written = after[name] - before[name]
        # a commit that was found done when its link had been cut is counted as repeated: the database has a few more
        rows.append(f"| {name} | {told[name]} | {written} | {written - told[name]} |")
    return rows


def verdict(watch: Watch, minutes: float) -> tuple[bool, str]:
    warm = min(600.0, minutes * 60 / 4)
    lines = [
        "| who | what | first | median of each quarter | last | most | per hour | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    good = True
    for (who, what), samples in sorted(watch.found.items()):
        slope = samples.slope(warm)
        # a short run says little: its slopes are told, not judged
        fine = slope <= MOST[what] or minutes < LONG_ENOUGH
        good &= fine
        unit = " MB" if what == "memory" else ""
        # what fills up and what goes on for ever have the same slope at first
        quarters = " → ".join(f"{value:.0f}" for value in samples.quarters())
        lines.append(
            f"| {who} | {what} | {samples.values[0]:.0f}{unit} | {quarters}{unit} | {samples.values[-1]:.0f}{unit} | "
            f"{max(samples.values):.0f}{unit} | {slope:+.1f}{unit} | {'' if fine else 'GROWS'} |"
        )
    return good, "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.split("\n")[0])
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    said: Any = options.parse_args(argv)
    print(f"seed {said.seed}", flush=True)
    postgres, servers = Postgres(), services.RedisServer()
    try:
        with (
            # as the units in deploy/ start them
            open_site(
                postgres=postgres, redis=servers, env={"LOG_LEVEL": "ERROR", "MALLOC_ARENA_MAX": "2"}
            ) as site,
            Stage(site.env, "tests.faults.books") as books,
        ):
            history, watch, rows = asyncio.run(soak(site, books, said.minutes * 60, said.seed))
            processes = len(site.seats)
    finally:
        servers.stop()
        postgres.stop()
    flat, slopes = verdict(watch, said.minutes)
    print(f"\n{slopes}\n\n| counted | by the processes | in the database | difference |\n|---|---|---|---|")
    print("\n".join(rows))
    most = max(watch.found[("postgres", "connections")].values)
    bound = processes * (KEPT + REQUESTS_AT_ONCE) + 10
    print(f"\nconnections: {most:.0f} at most, {bound} are the bound for {processes} processes")
    print(f"wrong: {dict(Counter(w.kind for w in history.wrong)) or 'nothing'}")
    for w in history.wrong[:40]:
        print(f"  {w.kind}: {w.text}")
    print(f"on the way: {dict(history.counts.most_common(30))}")
    good = flat and not history.wrong and most <= bound
    flat_said = "nothing grows" if said.minutes >= LONG_ENOUGH else "too short to say what grows"
    print(f"seed {said.seed}: {f'{flat_said}, nothing is wrong' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
