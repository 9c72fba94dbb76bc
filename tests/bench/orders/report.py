"""From runs to the page: medians, ratios made inside a round, what was promised and what came of it."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.orders.cells import CELLS, ENGINES, LOADS, TITLES, Cell

# No single round may fall below this part of a target.
WORST = 0.7

Run = dict[str, Any]
Round = dict[str, Run]


def cpu(run: Run) -> float:
    """CPU of server and database per command, in microseconds."""
    return float(run["app_us"] + run["db_us"])


class Result:
    """What the kept rounds of one engine say."""

    def __init__(self, engine: str, settings: dict[str, str], runs: list[Run]) -> None:
        self.engine, self.settings = engine, settings
        self.wrong = [f"{engine} round {r['round']} {r['cell']}: {w}" for r in runs for w in r["wrong"]]
        rounds: dict[int, Round] = {}
        for run in runs:
            rounds.setdefault(run["round"], {})[run["cell"]] = run
        self.rounds = [rounds[number] for number in sorted(rounds) if number > 0]
        self.void = sum(run["void"] for run in runs)
        self.measured = {run["cell"] for run in runs}

    def cells(self, load: str) -> list[Cell]:
        return [c for c in CELLS[self.engine] if c.load == load and c.name in self.measured]

    def values(self, cell: Cell, key: str) -> list[float]:
        return [r[cell.name][key] for r in self.rounds]

    @property
    def others(self) -> list[float]:
        """What part of the machine somebody else used, run by run."""
        return [run["others"] for r in self.rounds for run in r.values()]


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio inside a round. `rivals` begin with this word; the best of them counts."""

    what: str
    engine: str
    ours: str
    rivals: str
    least: float | None
    of: str = "rate"
    shape: str = "{:.0f} ×"

    def ratios(self, result: Result) -> list[float]:
        return [ratio for r in result.rounds if (ratio := self._ratio(r)) is not None]

    def _ratio(self, round_: Round) -> float | None:
        pairs = self.ours.count(":") == 2
        rivals = [
            run
            for name, run in round_.items()
            if name.startswith(self.rivals) and name != self.ours and (name.count(":") == 2) == pairs
        ]
        if self.ours not in round_ or not rivals:
            return None
        mine = round_[self.ours]
        if self.of == "cpu":
            return min(map(cpu, rivals)) / cpu(mine)
        return float(mine["rate"] / max(run["rate"] for run in rivals))


TARGETS = (
    Target("first goal: claims accepted / s ÷ naive ORM", "postgres", "claims:ours", "claims:naive", 40),
    Target("claims accepted / s ÷ naive ORM", "postgres", "claims:ours", "claims:naive", 60),
    Target("claims accepted / s ÷ conditional UPDATE", "postgres", "claims:ours", "claims:conditional", 40),
    Target(
        "claims accepted / s ÷ PL/pgSQL", "postgres", "claims:ours", "claims:plpgsql", 6, shape="{:.1f} ×"
    ),
    Target("CPU per accepted claim, naive ORM ÷ ours", "postgres", "claims:ours", "claims:naive", 60, "cpu"),
    Target(
        "CPU per accepted claim, PL/pgSQL ÷ ours",
        "postgres",
        "claims:ours",
        "claims:plpgsql",
        8,
        "cpu",
        "{:.1f} ×",
    ),
    Target("refusals / s ÷ naive ORM", "postgres", "refusals:ours", "refusals:naive", 200),
    Target(
        "refusals / s ÷ PL/pgSQL", "postgres", "refusals:ours", "refusals:plpgsql", None, shape="{:.1f} ×"
    ),
    Target(
        "claims / s through WebSockets, daphne ÷ naive on daphne",
        "postgres",
        "sockets:ours-daphne",
        "sockets:stock-daphne",
        14,
    ),
    Target(
        "claims / s through WebSockets, uvicorn ÷ naive on daphne",
        "postgres",
        "sockets:ours-uvicorn",
        "sockets:stock-daphne",
        40,
    ),
    Target("mix ÷ claims only, commands / s", "postgres", "mix:ours", "claims:ours", 0.6, shape="{:.2f} ×"),
    Target("two processes: claims / s ÷ naive ORM", "postgres", "claims:ours:2", "claims:naive", None),
    Target(
        "two processes: claims / s ÷ PL/pgSQL",
        "postgres",
        "claims:ours:2",
        "claims:plpgsql",
        None,
        shape="{:.1f} ×",
    ),
    Target("claims accepted / s ÷ naive ORM", "slow", "claims:ours", "claims:naive", None),
    Target("claims accepted / s ÷ PL/pgSQL", "slow", "claims:ours", "claims:plpgsql", None),
    Target("claims accepted / s ÷ naive ORM", "sqlite", "claims:ours", "claims:naive", 20),
    Target("claims accepted / s ÷ conditional UPDATE", "sqlite", "claims:ours", "claims:conditional", None),
    Target("refusals / s ÷ naive ORM", "sqlite", "refusals:ours", "refusals:naive", None),
    Target("mix ÷ claims only, commands / s", "sqlite", "mix:ours", "claims:ours", 0.6, shape="{:.2f} ×"),
)


def verdicts(results: Sequence[Result]) -> str:
    """The table of what was promised."""
    lines = ["| target | measured: median (worst to best round) | wanted | |", "|---|---|---|---|"]
    for target in TARGETS:
        for result in results:
            if result.engine == target.engine and (ratios := target.ratios(result)):
                lines.append(_verdict(f"{ENGINES[target.engine]}: {target.what}", ratios, target))
    wrong = sum(len(result.wrong) for result in results)
    lines.append(f"| rows wrong, all runs | {wrong} | 0 | {_word(not wrong)} |")
    return "\n".join(lines)


def _verdict(what: str, ratios: list[float], target: Target) -> str:
    show: Callable[[float], str] = target.shape.format
    middle, worst = statistics.median(ratios), min(ratios)
    said = f"{show(middle)} ({show(worst)} to {show(max(ratios))})"
    if target.least is None:
        return f"| {what} | {said} | – | – |"
    passed = middle >= target.least and worst >= WORST * target.least
    return f"| {what} | {said} | ≥ {show(target.least)} | {_word(passed)} |"


def _word(passed: bool) -> str:
    return "pass" if passed else "falls short"


def tables(results: Sequence[Result]) -> str:
    """Every cell of every engine."""
    lines: list[str] = []
    for result in results:
        lines += [f"## {ENGINES[result.engine]}", ""]
        lines += ["Settings: " + ", ".join(f"{k} = {v}" for k, v in result.settings.items()) + ".", ""]
        for load, title in LOADS.items():
            cells = result.cells(load)
            if cells:
                lines += [f"### {title}", "", *_rows(result, cells), ""]
        lines += [_noise(result), *(f"- {w}" for w in result.wrong[:10]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(result: Result, cells: list[Cell]) -> list[str]:
    lines = [
        "| what | commands / s: median (min to max) | p50 / p99 ms | CPU µs each: server + database | batch |",
        "|---|---|---|---|---|",
    ]
    for cell in cells:
        rates = result.values(cell, "rate")
        middle = {
            key: statistics.median(result.values(cell, key))
            for key in ("p50_ms", "p99_ms", "app_us", "db_us", "batch")
        }
        batch = format(middle["batch"], ",.0f") if middle["batch"] else "–"
        title = TITLES[cell.way] + (f", {cell.processes} processes" if cell.processes > 1 else "")
        lines.append(
            f"| {title} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
            f" | {middle['p50_ms']:,.1f} / {middle['p99_ms']:,.1f}"
            f" | {middle['app_us']:,.0f} + {middle['db_us']:,.0f}"
            f" | {batch} |"
        )
    return lines


def _noise(result: Result) -> str:
    others = result.others or [0.0]
    return (
        f"Other processes used {statistics.median(others):.0%} of the machine (at most {max(others):.0%}); "
        f"{result.void} runs were void and repeated."
    )


def line(engine: str, run: Run) -> str:
    """One run, for the terminal."""
    return (
        f"{engine:8} round {run['round']} {run['cell']:22} {run['rate']:>9,.0f}/s"
        f"  p50/p99 {run['p50_ms']:>7,.1f} / {run['p99_ms']:>7,.1f} ms"
        f"  CPU {run['app_us']:>6,.0f} + {run['db_us']:>5,.0f} µs"
        f"  batch {run['batch']:>3,.0f}  others {run['others']:.0%}"
        f"  {'verified' if not run['wrong'] else run['wrong']}"
    )


def page(results: Sequence[Result], *, command: str, rounds: int, run_seconds: float, minutes: float) -> str:
    """docs/benchmarks/orders.md."""
    return f"""# Orders: how fast one process takes them

`{command}` on {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes.

{verdicts(results)}

A target is met when the median of the rounds meets it and no round is below {WORST:.0%} of it. Ratios are made inside a
round, against the best of a rival's rows (more threads are not always better).

## What is measured

500 buyers, each waiting for its answer before it asks again; every commit on disk before it is answered. 10 % of the
claims want two units, 5 % of the answered ones are sent again with the same id and must get the same answer; each
person claims three times, the first time begins a basket. {rounds} rounds of {run_seconds:g} s per row, in alternating
order, after one that is dropped. A run during which other processes used more than a tenth of the machine is void and
repeated, at most twice.

- *Ours*: `chat.log.lane` and the handlers of `livesale.claims` with permissions, limits, receipts, stock, basket, line,
  ledger, log and promises; answers come back to an event loop as those of sockets do. No socket, no fan-out.
- *Naive ORM* (`tests/bench/orders/naive.py`): a transaction per claim, `select_for_update`, ORM rows.
- *Conditional UPDATE* (`conditional.py`): the ORM too, but the pool and the log's counter are guarded updates, and
  locks are taken as late as can be.
- *PL/pgSQL* (`plpgsql.py`): everything in one function, one prepared call and one commit per order, no ORM.
- *Refusals*: every unit is held and the waiting list is full. One wish in twenty repeats a claim that got a unit and
  must get its first answer, though all is sold.
- *WebSockets*: one server process, 500 connections of a generator that writes frames by hand, on the same two cores;
  nobody follows the room. The servers differ between rows and are named; *stock* is an `AsyncJsonWebsocketConsumer`
  that calls the naive claim by `database_sync_to_async`, with a database connection that is kept. Everybody claims as
  often as answers allow, so that the faster servers have longer baskets to add up.
- *Two processes*: 250 buyers and a lane (or 8 threads, or 8 connections) each, one database.
- *Commits 2 ms slower*: `commit_delay = 2000`, `commit_siblings = 0`, as on a slower disk or a network volume.

All write the same tables and give the same answers. After each run the log must be without gaps, the units of the lines
must be those that were answered, every claim must have one event and one receipt, and `manage.py verify` must find no
drift.

{tables(results)}
## Machine

{_machine()}

The database server and the generators run on the same cores. Rounds of one machine differ; compare rows, not days.
"""


def _machine() -> str:
    model = next(
        (
            text.split(":", 1)[1].strip()
            for text in Path("/proc/cpuinfo").read_text().splitlines()
            if text.startswith("model name")
        ),
        platform.processor(),
    )
    memory = next(
        int(text.split()[1]) // 1024**2
        for text in Path("/proc/meminfo").read_text().splitlines()
        if text.startswith("MemTotal")
    )
    import django
    import psycopg

    return (
        f"{os.cpu_count()} cores {model}, {memory} GiB; Python {platform.python_version()}, "
        f"Django {django.__version__}, psycopg {psycopg.__version__}."
    )
