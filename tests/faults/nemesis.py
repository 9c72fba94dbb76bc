"""Faults by chance for as long as you like, and afterwards every client's history against the database.

python -m tests.faults.nemesis [--minutes 20] [--seed N] [--only "app kill -9,app SIGSTOP"] [--control NAME]

Three real processes, a real PostgreSQL and a real Redis, a crowd on real sockets. At the end a table: fault, times,
commands acknowledged meanwhile, lost, doubled, and how long until every process acknowledged a fresh command again.
Then the controls, in short: with a guard of the product taken out, the same checks must find something.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests import services
from tests.faults import kinds
from tests.faults.crowd import Crowd
from tests.faults.history import History, Wrong
from tests.faults.probe import Probe
from tests.faults.scene import Scene
from tests.faults.site import PROJECT, UNGUARDED, Postgres, Site, open_site
from tests.faults.verdict import judge, settle
from tests.proofs.stage import Stage

WANTED = 10.0
# A process that has not acknowledged anything by then will not.
HOPELESS = 60.0
STOCK = 60
HOLD = 5


@dataclass
class Blow:
    """One fault that was done."""

    name: str
    began: float
    healed: float
    recovered: float

    @property
    def took(self) -> float:
        return self.recovered - self.healed


@dataclass
class Run:
    history: History = field(default_factory=History)
    blows: list[Blow] = field(default_factory=list)
    seconds: float = 0.0
    repeated: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    logs: str = ""


@dataclass(frozen=True)
class Plan:
    seconds: float
    seed: int
    only: tuple[str, ...] = ()
    actors: int = 36
    readers: int = 6
    requesters: int = 4
    # seconds between two acts of a person, on average
    pause: float = 0.8
    without: str = ""
    redis_layer: str = "pubsub"


def run(plan: Plan, *, say: bool = True) -> Run:
    """One site from its beginning to the verdict."""
    postgres, redis = Postgres(), services.RedisServer()
    try:
        env = {"LIVESALE_TEST_WITHOUT": plan.without} if plan.without else {}
        with (
            open_site(
                postgres=postgres,
                redis=redis,
                application=UNGUARDED if plan.without else PROJECT,
                channel_layer=plan.redis_layer,  # type: ignore[arg-type]
                env=env,
            ) as site,
            Stage(site.env, "tests.faults.books") as books,
        ):
            if plan.without == "locks":
                with psycopg.connect(site.database_url, autocommit=True) as link:
                    link.execute("ALTER TABLE commerce_pool DROP CONSTRAINT pool_never_oversold")
            return asyncio.run(_run(plan, site, books, say))
    finally:
        redis.stop()
        postgres.stop()


async def _run(plan: Plan, site: Site, books: Stage, say: bool) -> Run:
    chance = random.Random(plan.seed)
    done = Run()
    people = plan.actors + plan.readers + plan.requesters
    scene = await asyncio.to_thread(Scene, books, people=people, stock=STOCK, hold=HOLD)
    crowd = Crowd(site, scene, done.history, random.Random(plan.seed))
    probe = Probe(crowd)
    nemesis = kinds.Nemesis(site, crowd, chance)
    await crowd.come(actors=plan.actors, readers=plan.readers, requesters=plan.requesters, pause=plan.pause)
    began = time.monotonic()
    await asyncio.sleep(3)
    await probe.recovered(site.seats, HOPELESS)
    deck: list[str] = []
    seen = 0
    while time.monotonic() - began < plan.seconds:
        if not deck:
            deck = list(plan.only or kinds.FAULTS)
            chance.shuffle(deck)
        blow = await strike(deck.pop(), nemesis, probe, done.history)
        done.blows.append(blow)
        if say:
            print(
                f"{blow.began - began:7.1f} s  {blow.name:34} {blow.healed - blow.began:5.1f} s, "
                f"recovered after {blow.took:5.2f} s",
                flush=True,
            )
            while seen < len(done.history.wrong):
                print(f"          wrong: {done.history.wrong[seen].kind}: {done.history.wrong[seen].text}")
                seen += 1
        await asyncio.sleep(chance.uniform(0.5, 2.5))
    done.seconds = time.monotonic() - began
    done.repeated = await settle(crowd, probe, books)
    done.rows = await asyncio.to_thread(judge, crowd, books)
    await crowd.go()
    keep_logs(site, done)
    return done


def keep_logs(site: Site, done: Run) -> None:
    """What the processes said, for whoever wants to know why."""
    folder = Path(tempfile.mkdtemp(prefix="livesale-nemesis-"))
    for seat in site.seats:
        done.history.counts["tracebacks in the logs"] += seat.process.log.count("Traceback")
        (folder / f"{seat.process.server}-{seat.process.port}.log").write_text(seat.process.log)
    done.logs = str(folder)


async def strike(name: str, nemesis: kinds.Nemesis, probe: Probe, history: History) -> Blow:
    began = time.monotonic()
    try:
        await kinds.FAULTS[name](nemesis)
    except (RuntimeError, OSError, TimeoutError) as error:
        history.blame("error", f"{name}: {str(error)[-2000:]}")
    healed = time.monotonic()
    took = await probe.recovered(nemesis.site.seats, HOPELESS)
    blow = Blow(name, began, healed, healed + max(took.values()))
    for seat, seconds in took.items():
        if seconds > WANTED:
            history.blame("slow", f"{seat} was back {seconds:.1f} s after {name}", healed)
    return blow


# --- what is told -------------------------------------------------------------------------------------------------


def table(done: Run) -> str:
    lines = [
        "| fault | times | acknowledged meanwhile | lost | doubled | other | recovery: median | max |",
        "|---|---|---|---|---|---|---|---|",
    ]
    named: Counter[int] = Counter()
    for name in dict.fromkeys(blow.name for blow in done.blows):
        mine = [blow for blow in done.blows if blow.name == name]
        acked = sum(done.history.acks_between(b.began, b.recovered) for b in mine)
        wrong = [w for w in done.history.wrong if any(b.began <= w.at <= b.recovered + 3 for b in mine)]
        named.update(id(w) for w in wrong)
        took = [b.took for b in mine]
        lines.append(
            f"| {name} | {len(mine)} | {acked} | {_count(wrong, 'lost')} | {_count(wrong, 'doubled')} | "
            f"{len(wrong) - _count(wrong, 'lost') - _count(wrong, 'doubled')} | "
            f"{statistics.median(took):.1f} s | {max(took):.1f} s |"
        )
    rest = [w for w in done.history.wrong if id(w) not in named]
    lines.append(
        f"| found at the end | | | {_count(rest, 'lost')} | {_count(rest, 'doubled')} | "
        f"{len(rest) - _count(rest, 'lost') - _count(rest, 'doubled')} | | |"
    )
    return "\n".join(lines)


def _count(wrong: list[Wrong], kind: str) -> int:
    return sum(1 for w in wrong if w.kind == kind)


def summary(done: Run) -> str:
    history = done.history
    commands = history.commands.values()
    acked = [c for c in commands if c.answer is not None]
    refused = Counter(c.refused for c in commands if c.refused)
    told = [
        f"{done.seconds:.0f} s, {len(done.blows)} faults; {len(commands)} commands: {len(acked)} acknowledged, "
        f"{sum(refused.values())} refused, {sum(c.unheard for c in acked)} committed whose first answer was lost, "
        f"{sum(c.times > 1 for c in commands)} sent more than once, {done.repeated} repeated at the end",
        f"refused: {dict(refused.most_common(12))}",
        f"rows: {done.rows}",
        f"longest, in seconds: { {what: round(took, 1) for what, took in history.longest.items()} }",
        f"on the way: {dict(history.counts.most_common(30))}",
    ]
    kinds_of_wrong = Counter(w.kind for w in history.wrong)
    told.append(f"wrong: {dict(kinds_of_wrong) or 'nothing'}")
    told += [f"  {w.kind}: {w.text}" for w in history.wrong[:40]]
    told.append(f"what the processes said: {done.logs}")
    return "\n".join(told)


# --- controls -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """A guard that is left out, the faults that it guards against, and what must be found then."""

    what: str
    faults: tuple[str, ...]
    finds: frozenset[str]
    seconds: float = 20.0


CONTROLS = {
    # a process that is killed is between answer and commit now and then, of all of them one always is
    "early": Control(
        "answers before the commit", ("app kill -9", "postgres immediate restart"), frozenset({"lost"})
    ),
    "receipts": Control(
        "no receipts", ("clients' links cut", "postgres link cut after COMMIT"), frozenset({"doubled"})
    ),
    "repair": Control(
        "nobody looks for what did not ring", ("redis link of one cut 3 s",), frozenset({"gap"})
    ),
    "locks": Control(
        "no lock and no guard on stock", ("clients' links cut",), frozenset({"oversold", "drift"})
    ),
}


def control(name: str, seed: int) -> tuple[bool, str]:
    """Whether the run without that guard was found out, and the row of the table."""
    told = CONTROLS[name]
    done = run(Plan(told.seconds, seed, told.faults, pause=0.3, without=name), say=False)
    found = Counter(w.kind for w in done.history.wrong)
    flagged = bool(told.finds & found.keys())
    wanted = " or ".join(sorted(told.finds))
    return flagged, f"| {name} | {told.what} | {wanted} | {dict(found)} | {'yes' if flagged else 'NO'} |"


def controls(names: list[str], seed: int) -> bool:
    rows, good = [], True
    for name in names:
        flagged, row = control(name, seed)
        good &= flagged
        rows.append(row)
        print(f"control {name}: {'found out' if flagged else 'NOT found out'}", flush=True)
    print("\n| control | guard left out | must be found | was found | flagged |\n|---|---|---|---|---|")
    print("\n".join(rows))
    return good


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.faults.nemesis", description=__doc__.split("\n")[0]
    )
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--only", default="", help="names of faults, with commas")
    options.add_argument("--layer", choices=["pubsub", "redis"], default="pubsub")
    options.add_argument("--control", choices=[*CONTROLS, "all"], help="only this control")
    options.add_argument("--no-controls", action="store_true")
    said: Any = options.parse_args(argv)
    only = tuple(name.strip() for name in said.only.split(",") if name.strip())
    if unknown := set(only) - kinds.FAULTS.keys():
        options.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(kinds.FAULTS)}")
    print(f"seed {said.seed}", flush=True)
    if said.control:
        return 0 if controls(list(CONTROLS) if said.control == "all" else [said.control], said.seed) else 1
    done = run(Plan(said.minutes * 60, said.seed, only, redis_layer=said.layer))
    print(f"\n{table(done)}\n\n{summary(done)}\n", flush=True)
    good = not done.history.wrong
    if not said.no_controls:
        good &= controls(list(CONTROLS), said.seed)
    print(f"seed {said.seed}: {'nothing lost, nothing doubled' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
