"""The measuring process: the cells of one engine, in rounds, on the database of DATABASE_URL. One line per run."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterable
from typing import Any

from django.db import connection

from tests.bench.orders import inprocess, plpgsql, sockets, usage, world
from tests.bench.orders.cells import CELLS, Cell
from tests.bench.orders.crowd import Crowd, Tally
from tests.bench.orders.workers import Workers

# People in the shop per second of a run; nobody should have to claim much more often than three times.
PEOPLE_PER_SECOND = 7_500
CHAT = 0.70
# A run while others use more than this part of the machine is void and repeated at once.
OTHERS_ALLOWED = 0.10
PARENT_NOTICES = 0.1

Run = dict[str, Any]


class Bench:
    """The market, and the processes that help."""

    def __init__(self, engine: str, people: int) -> None:
        self._engine = engine
        self._market = world.open_market(people)
        self._workers: Workers | None = None
        if connection.vendor == "postgresql":
            plpgsql.install()
        world.warm(self._market)

    def stop(self) -> None:
        if self._workers is not None:
            self._workers.stop()

    def run(self, cell: Cell, seconds: float, seed: int) -> Run:
        """One verified run."""
        start = world.reset(self._market, sold_out=cell.load == "refusals")
        tally = Tally()
        if cell.load == "sockets":
            with sockets.serving(cell.way) as server:
                crowd = Crowd(self._market, self._market.people, seed=seed, stay=True)
                meter = Meter([server.pid])
                pace = sockets.through_sockets(
                    server, cell.way, crowd, seconds, tally, before=meter.start, after=meter.stop
                )
        elif cell.processes > 1:
            if self._workers is None:
                self._workers = Workers(self._market, cell.processes)
            meter = Meter(self._workers.pids)
            meter.start()
            pace = self._workers.run(cell.way, seconds, seed, tally)
            meter.stop()
        else:
            mixed = cell.load == "mix"
            crowd = Crowd(
                self._market,
                self._market.people,
                seed=seed,
                chat=CHAT if mixed else 0.0,
                rooms=world.ROOMS if mixed else 1,
                told_before=start.claims,
            )
            meter = Meter([])
            meter.start()
            pace = inprocess.WAYS[cell.way](crowd, seconds, tally)
            meter.stop()
        wrong = [*tally.wrong[:3], *world.check(self._market, start, tally)]
        if tally.refused and cell.load != "refusals":
            wrong.append(f"{tally.refused} refused")
        return {"cell": cell.name, **figures(tally, pace, meter), "wrong": wrong}


class Meter:
    """CPU seconds between `start` and `stop`: of what is measured, of the database, of others."""

    def __init__(self, servers: list[int]) -> None:
        self._servers = servers
        self._postmaster = int(os.environ.get("BENCH_POSTMASTER") or 0)
        self._at: list[float] = []
        self.app = self.generator = self.database = self.machine = 0.0

    def _read(self) -> list[float]:
        found = [usage.of_all(self._servers), usage.own(), usage.of_machine()]
        # a connection's process that is just ending counts for nobody until its parent has noticed
        time.sleep(PARENT_NOTICES)
        return [*found, usage.of_tree(self._postmaster) if self._postmaster else 0.0]

    def start(self) -> None:
        self._at = self._read()

    def stop(self) -> None:
        servers, own, self.machine, self.database = (
            now - then for now, then in zip(self._read(), self._at, strict=True)
        )
        # with servers of their own this process only asks
        self.app, self.generator = (servers, own) if self._servers else (own, 0.0)

    def others(self, seconds: float) -> float:
        """The part of the machine that was used by nobody of ours."""
        theirs = self.machine - self.app - self.generator - self.database
        return max(0.0, theirs / seconds / (os.cpu_count() or 1))


def figures(tally: Tally, pace: inprocess.Pace, meter: Meter) -> Run:
    elapsed, batch = pace
    waits = sorted(tally.waits) or [0.0]
    done = max(1, tally.done)
    return {
        "done": tally.done,
        "repeated": tally.repeated,
        "seconds": round(elapsed, 3),
        "rate": round(tally.done / elapsed, 1),
        "batch": round(batch, 1),
        "app_us": round(meter.app / done * 1e6, 1),
        "db_us": round(meter.database / done * 1e6, 1),
        "generator_us": round(meter.generator / done * 1e6, 1),
        "p50_ms": round(statistics.median(waits) * 1000, 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 1),
        "others": round(meter.others(elapsed), 3),
    }


def measure(arguments: argparse.Namespace) -> None:
    """All rounds, the order turned round every time. Round 0 is for warming up."""
    cells = [cell for cell in CELLS[arguments.engine] if _chosen(cell, arguments.cells)]
    bench = Bench(arguments.engine, int(PEOPLE_PER_SECOND * max(0.5, min(4.0, arguments.seconds))))
    print(json.dumps({"settings": world.settings_in_force()}), flush=True)
    try:
        for number in range(arguments.rounds + 1):
            seconds = arguments.seconds if number else min(arguments.seconds, arguments.warm_up)
            for cell in cells if number % 2 == 0 else reversed(cells):
                if not number and cell.load == "sockets":
                    # its server is a fresh one in every round: there is nothing to warm up
                    continue
                found = bench.run(cell, seconds, seed=1_000 + number)
                void = 0
                while number and found["others"] > OTHERS_ALLOWED and void < arguments.repeats:
                    void += 1
                    found = bench.run(cell, seconds, seed=1_000 + number)
                print(json.dumps({"round": number, "void": void, **found}), flush=True)
    finally:
        bench.stop()


def _chosen(cell: Cell, wanted: Iterable[str]) -> bool:
    return not wanted or any(word in cell.name for word in wanted)


def profile(arguments: argparse.Namespace) -> None:
    """Where the lane's thread spends its time under one load."""
    import cProfile
    import pstats
    import sys

    from chat.log import lane

    bench = Bench(arguments.engine, 3_000)
    cell = Cell(arguments.profile, "ours")
    profiler = cProfile.Profile()
    carry_out = lane.Lane._carry_out

    def profiled(self: Any, batch: Any) -> None:
        profiler.enable()
        try:
            carry_out(self, batch)
        finally:
            profiler.disable()

    bench.run(cell, 1.0, seed=1)
    plain = bench.run(cell, arguments.seconds, seed=2)
    lane.Lane._carry_out = profiled  # type: ignore[method-assign]
    found = bench.run(cell, arguments.seconds, seed=3)
    stats = pstats.Stats(profiler, stream=sys.stderr)
    stats.sort_stats("tottime").print_stats(40)
    stats.sort_stats("cumtime").print_stats(60)
    print("without profiler", plain, "\nwith", found, file=sys.stderr)
