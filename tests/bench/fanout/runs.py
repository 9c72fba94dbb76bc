"""One run of one server, and repetitions of all: fresh servers, shuffled order, runs that do not count repeated."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import redis

from tests import services
from tests.bench.fanout import machine, subjects
from tests.bench.fanout.generator import Generator, GeneratorFailed, Load, Report
from tests.bench.fanout.house import House
from tests.bench.fanout.subjects import Bench, Crowd, Running, Subject
from tests.processes import environment, manage
from tests.services import MissingPart

# A run counts when no more than this was taken by others, as a part of the machine …
OTHERS_MOST = 0.05
STOLEN_MOST = 0.02
# … and the generator was not what everybody waited for (part of its core), …
GENERATOR_MOST = 0.85
# … and the server's CPU was long enough for the clock (in ticks of 1/100 s).
TICKS_LEAST = 50
# Who delivers less than this part of what is sent has fallen behind.
BEHIND = 0.95
# A repetition in which the floor is this far from its median says more about the machine than about servers.
FLOOR_DRIFT = 0.25
# A run begins when the machine has been this quiet for a moment (part of its CPU), or when that has lasted too long.
QUIET = 0.1
# After the last one has joined, the news of it are on their way for this long, in seconds.
SETTLE = 1.0


@contextmanager
def open_bench(folder_name: str = "fanout") -> Iterator[Bench]:
    """Redis, PostgreSQL (durable) and a database with our tables; all on the cores that are not the server's."""
    cores = machine.share_out_cores()
    machine.allow_files(subjects.FILES)
    folder = services.temporary_folder(folder_name)
    redis_server, postgres = services.RedisServer(), services.PostgresServer(durable=True)
    try:
        with redis.Redis.from_url(redis_server.url) as client:
            redis_pid = int(client.info("server")["process_id"])
        postgres_pid = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
        env = environment(
            folder,
            database_url=postgres.create_database("fanout"),
            redis_url=redis_server.url,
            channel_layer="pubsub",
            env={"LOG_LEVEL": "ERROR"},
        )
        manage(env, "migrate", "--verbosity", "0")
        house = House(env)
        try:
            yield Bench(folder, cores, redis_server, redis_pid, postgres_pid, env, house)
        finally:
            house.end()
    finally:
        postgres.stop()
        redis_server.stop()
        services.remove_folder(folder)


@dataclass
class Run:
    """What one run of one server has shown."""

    report: Report
    server_us: float
    """CPU of the server's processes per delivery, in microseconds; the next two: of Redis and of PostgreSQL."""
    redis_us: float
    postgres_us: float
    ticks: int
    others: float
    """What part of the machine's CPU somebody else used in the window."""
    stolen: float
    doubts: list[str] = field(default_factory=list)
    """Why the figures may not be what they should; a run without any counts."""

    @property
    def us(self) -> float:
        """CPU per delivery, all that the message went through on the server's side, in microseconds."""
        return self.server_us + self.redis_us + self.postgres_us

    @property
    def per_second(self) -> float:
        return self.report.deliveries / self.report.seconds

    @property
    def right(self) -> bool:
        return not self.report.faults


def _enter(bench: Bench, running: Running, load: Load) -> Generator:
    return Generator(
        load,
        ports=running.ports,
        path=running.path,
        publish=running.publish,
        setup=running.setup,
        answer=running.answer,
        folder=bench.folder,
    )


def measure(bench: Bench, subject: Subject, load: Load, processes: int = 1) -> Run:
    """Start the server afresh, let everybody in, publish, count."""
    bench.redis.flushall()
    crowd = Crowd(load.sockets, load.senders, load.rooms, processes)
    with subject.serve(bench, crowd) as running, _enter(bench, running, load) as generator:
        generator.joined()
        running.all_joined()
        time.sleep(SETTLE)
        generator.begin()
        generator.started()
        before = _sample(bench, running)
        generator.ended()
        after = _sample(bench, running)
        report = generator.report()
    spent = {name: after[name] - before[name] for name in before}
    us = {name: spent[name] * 1e6 / max(1, report.deliveries) for name in ("server", "redis", "postgres")}
    # what ran on the machine and was neither the server, nor beside it, nor ours to measure with
    seconds = spent["at"] * (os.cpu_count() or 1)
    known = sum(spent[n] for n in ("server", "redis_all", "postgres_all", "self")) + report.cpu_seconds
    run = Run(
        report,
        us["server"],
        us["redis"],
        us["postgres"],
        ticks=round(spent["server"] * machine.TICKS),
        others=max(0.0, (spent["busy"] - known) / seconds),
        stolen=spent["stolen"] / seconds,
    )
    run.doubts = doubts(run)
    due = (load.rate or 0) * load.sockets / load.rooms
    if run.per_second < BEHIND * due:
        run.doubts.append(f"fell behind: {run.per_second:,.0f} of {due:,.0f}/s")
    return run


def wait_for_quiet(patience: float) -> None:
    """Others on the machine have their turns too: a run that begins in one of them is lost."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        before = machine.busy()
        time.sleep(0.5)
        after = machine.busy()
        if after.used - before.used < QUIET * (os.cpu_count() or 1) * (after.at - before.at):
            return


def _sample(bench: Bench, running: Running) -> dict[str, float]:
    """CPU seconds so far, of everybody."""
    busy, own = machine.busy(), os.times()
    redis_ = machine.cpu_ticks([bench.redis_pid]) / machine.TICKS
    postgres = machine.cpu_ticks([bench.postgres_pid]) / machine.TICKS
    return {
        "at": busy.at,
        "busy": busy.used,
        "stolen": busy.stolen,
        "self": own.user + own.system,
        "server": machine.cpu_ticks(running.pids) / machine.TICKS,
        "redis_all": redis_,
        "postgres_all": postgres,
        "redis": redis_ if bench.redis_pid in running.uses else 0.0,
        "postgres": postgres if bench.postgres_pid in running.uses else 0.0,
    }


def doubts(run: Run) -> list[str]:
    doubts = []
    if not run.right:
        doubts.append(", ".join(f"{count} {name}" for name, count in run.report.faults.items()))
    generator = run.report.cpu_seconds / run.report.seconds
    if generator >= GENERATOR_MOST:
        doubts.append(f"generator {generator:.0%} of its core")
    if run.others > OTHERS_MOST:
        doubts.append(f"others {run.others:.0%} of the machine")
    if run.stolen > STOLEN_MOST:
        doubts.append(f"{run.stolen:.0%} stolen")
    if run.ticks < TICKS_LEAST:
        doubts.append(f"only {run.ticks} ticks of CPU")
    return doubts


def idle_kib(bench: Bench, subject: Subject, sockets: int) -> float:
    """KiB of the server's resident memory per socket that is joined and quiet."""
    bench.redis.flushall()
    warming = Load(50, 1, rate=1.0)
    crowd = Crowd(sockets, 1)
    with subject.serve(bench, crowd) as running:
        with _enter(bench, running, warming) as first:
            first.joined()
        time.sleep(SETTLE)
        before = machine.resident_bytes(running.pids)
        # those who were there to warm it have used no token up: a resume token serves until it is old
        with _enter(bench, running, Load(sockets, 1, rate=1.0)) as everybody:
            everybody.joined()
            time.sleep(2 * SETTLE)
            after = machine.resident_bytes(running.pids)
    return (after - before) / 1024 / sockets


# --- many of them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One question that is put to several servers."""

    key: str
    title: str
    load: Load
    entrants: tuple[Subject, ...]
    repetitions: int = 3
    processes: int = 1
    stock_seconds: float | None = None
    """Another window for those that are much slower."""
    tries: int = 3
    """How often a run is made at most until it counts."""
    quiet_patience: float = 20.0
    """Seconds to wait, before each run, for a machine that others use."""

    def load_of(self, subject: Subject) -> Load:
        if subject.family == "stock" and self.stock_seconds is not None:
            return replace(self.load, seconds=self.stock_seconds)
        return self.load


@dataclass
class Found:
    """The runs of a cell, by repetition and server; and what was not measured, with the reason."""

    cell: Cell
    rounds: list[dict[str, Run]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    voided: list[str] = field(default_factory=list)
    """Runs that were repeated, in words."""

    @property
    def kept(self) -> list[dict[str, Run]]:
        """Repetitions in which the machine was the same machine: the floor near its median, where there is a floor."""
        floors = [r["floor"].us for r in self.rounds if "floor" in r]
        if len(floors) < 3:
            return self.rounds
        middle = statistics.median(floors)
        kept = [r for r in self.rounds if "floor" in r and abs(r["floor"].us / middle - 1) <= FLOOR_DRIFT]
        return kept or self.rounds

    def runs(self, key: str) -> list[Run]:
        return [r[key] for r in self.kept if key in r]

    def right_runs(self, key: str) -> list[Run]:
        return [run for run in self.runs(key) if run.right]

    def ratios(self, ours: str, rival: str) -> list[float]:
        """The rival's CPU per delivery in ours, repetition by repetition, where both were right."""
        return [
            r[rival].us / r[ours].us
            for r in self.kept
            if ours in r and rival in r and r[ours].right and r[rival].right and r[ours].us > 0
        ]


def carry_out(bench: Bench, cell: Cell, say: Callable[[str], None], seed: int = 1) -> Found:
    """All repetitions of a cell, each in an order of its own."""
    found = Found(cell)
    order = random.Random(f"{cell.key} {seed}")
    for number in range(1, cell.repetitions + 1):
        entrants = [s for s in cell.entrants if s.key not in found.missing]
        order.shuffle(entrants)
        round_: dict[str, Run] = {}
        for subject in entrants:
            run = _until_it_counts(bench, cell, subject, found, say)
            if run is not None:
                round_[subject.key] = run
                say(
                    f"{cell.key:14} {number}/{cell.repetitions} {subject.key:28} {run.us:8.2f} µs "
                    f"{run.per_second:9,.0f}/s  p50/p99 {run.report.p50_ms:7.1f}/{run.report.p99_ms:7.1f} ms"
                    f"  {'; '.join(run.doubts)}"
                )
        found.rounds.append(round_)
    return found


def _until_it_counts(
    bench: Bench, cell: Cell, subject: Subject, found: Found, say: Callable[[str], None]
) -> Run | None:
    """So many tries; the one with the fewest doubts when none is without. None: it cannot be run here."""
    best: Run | None = None
    for attempt in range(1, cell.tries + 1):
        wait_for_quiet(cell.quiet_patience)
        try:
            run = measure(bench, subject, cell.load_of(subject), cell.processes)
        except MissingPart as part:
            found.missing[subject.key] = f"NOT MEASURED: {part}"
            say(f"{cell.key:14} {subject.key}: {found.missing[subject.key]}")
            return None
        except (GeneratorFailed, RuntimeError, TimeoutError) as failure:
            reason = str(failure).strip()
            found.voided.append(f"{subject.key}: {reason.splitlines()[0]}")
            say(f"{cell.key:14} {subject.key}: {reason}")
            continue
        if best is None or len(run.doubts) < len(best.doubts):
            best = run
        too_short = len(run.doubts) == 1 and run.ticks < TICKS_LEAST  # and the next one would be so too
        if not run.doubts or too_short or attempt == cell.tries:
            break
        found.voided.append(f"{subject.key}: {'; '.join(run.doubts)}")
    if best is None:
        found.missing[subject.key] = f"FAILED: {found.voided[-1].partition(': ')[2]}"
    return best
