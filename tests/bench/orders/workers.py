"""Several processes that take a crowd's wishes at the same time, as several servers of one shop would.

A worker is `python -m tests.bench.orders --worker`: it reads one order per line and answers with one line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict

from tests.bench.orders import inprocess, world
from tests.bench.orders.crowd import BUYERS, Crowd, Tally
from tests.processes import ROOT
from tests.proofs.market import Market


class Workers:
    """`count` processes on the same market; the buyers and the people are shared out among them."""

    def __init__(self, market: Market, count: int) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.orders", "--worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        for part, process in enumerate(self._processes):
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{part} {count} {world.to_text(market)}\n")
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a worker did not start")

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def run(self, way: str, seconds: float, seed: int, tally: Tally) -> inprocess.Pace:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps([way, seconds, seed]) + "\n")
            process.stdin.flush()
        paces = []
        for process in self._processes:
            assert process.stdout is not None
            found = json.loads(process.stdout.readline())
            paces.append(found.pop("pace"))
            tally.add(Tally(**found))
        return max(p[0] for p in paces), sum(p[1] for p in paces) / len(paces)

    def stop(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


def serve() -> None:
    """The worker's side."""
    part, count, text = sys.stdin.readline().split(" ", 2)
    market = world.from_text(text)
    people = market.people[int(part) :: int(count)]
    world.settle_memory()
    print("ready", flush=True)
    for line in sys.stdin:
        way, seconds, seed = json.loads(line)
        crowd = Crowd(market, people, seed=seed + 7 * int(part), buyers=BUYERS // int(count))
        tally = Tally()
        started = time.perf_counter()
        _, batch = inprocess.WAYS[way](crowd, seconds, tally)
        pace = (time.perf_counter() - started, batch)
        tally.waits = [round(w, 4) for w in tally.waits]
        print(json.dumps({"pace": pace, **asdict(tally)}), flush=True)
