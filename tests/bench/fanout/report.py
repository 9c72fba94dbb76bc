"""The page: machine, targets with verdicts, a table per cell, what did not count and why. Every figure is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.bench.fanout import lifts, machine, parts, runs
from tests.bench.fanout.plan import IDLE_SOCKETS, TARGETS, Target
from tests.bench.fanout.runs import Found, Run
from tests.bench.fanout.subjects import Subject


@dataclass
class Results:
    """All that one benchmark has found."""

    command: str
    cores: machine.Cores
    cells: dict[str, Found] = field(default_factory=dict)
    idle: dict[str, list[float] | str] = field(default_factory=dict)
    """KiB per socket, run by run; or why there are none."""
    idle_entrants: tuple[Subject, ...] = ()
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Where the product itself lost, doubled or mixed up messages."""
        return [
            f"{key}, {subject.key}: {', '.join(f'{n} {what}' for what, n in run.report.faults.items())}"
            for key, found in self.cells.items()
            for subject in found.cell.entrants
            if subject.family == "ours"
            for run in found.runs(subject.key)
            if not run.right
        ]


def spread(values: Iterable[float], shape: str = "{:,.1f}") -> str:
    """Median (least to most)."""
    numbers = list(values)
    if not numbers:
        return "–"
    middle = shape.format(statistics.median(numbers))
    if len(numbers) == 1:
        return middle
    return f"{middle} ({shape.format(min(numbers))} to {shape.format(max(numbers))})"


def _median(values: Iterable[float]) -> float:
    numbers = list(values)
    return statistics.median(numbers) if numbers else float("nan")


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


# --- targets ----------------------------------------------------------------------------------------------------------


def verdicts(results: Results) -> list[list[str]]:
    return [
        row
        for target in TARGETS
        for key, wanted in target.wanted.items()
        if (row := _verdict(results, target, key, wanted)) is not None
    ]


def _verdict(results: Results, target: Target, key: str, wanted: float) -> list[str] | None:
    """None for what this run did not ask. A target is judged by the median."""
    who = key.split("-")[1]
    if target.kind == "KiB":
        values = results.idle.get(key)
        if values is None:
            return None
        if isinstance(values, str):
            return [target.what, who, values, f"≤ {wanted:g} KiB", "not measured"]
        return _row(target, who, values, wanted, "{:.1f} KiB", least=False)
    found = results.cells.get(target.cell)
    if found is None or key not in {s.key for s in found.cell.entrants}:
        return None
    if target.kind == "ms":
        values, shape = [run.report.p99_ms for run in found.right_runs(key)], "{:.1f} ms"
    else:
        ratios = found.ratios(key, target.rival)
        values = [1 / r for r in ratios] if target.kind == "at most" else ratios
        shape = "{:.2f} ×"
    least = target.kind == "times"
    wrong = [run for run in found.runs(key) if not run.right]
    if wrong:
        row = _row(target, who, values, wanted, shape, least=least)
        return [*row[:-1], f"falls short: {'; '.join(wrong[0].doubts)}"]
    if not values:
        why = found.missing.get(target.rival) or found.missing.get(key) or "no run that counts"
        return [target.what, who, why, f"{'≥' if least else '≤'} {shape.format(wanted)}", "not measured"]
    return _row(target, who, values, wanted, shape, least=least)


def _row(
    target: Target, who: str, values: list[float], wanted: float, shape: str, *, least: bool
) -> list[str]:
    passed = bool(values) and (_median(values) >= wanted if least else _median(values) <= wanted)
    sign = "≥" if least else "≤"
    said = spread(values, shape)
    return [target.what, who, said, f"{sign} {shape.format(wanted)}", "pass" if passed else "falls short"]


def target_table(results: Results) -> list[str]:
    head = ["target", "on", "measured: median (least to most)", "wanted", "verdict"]
    return _table(head, verdicts(results))


# --- cells ------------------------------------------------------------------------------------------------------------


HEAD = [
    "server",
    "CPU µs per delivery: median (least to most)",
    "of it Redis / PostgreSQL",
    "deliveries/s",
    "p50 / p99 ms",
    "messages per frame",
    "remarks",
]


def _cell_row(found: Found, subject: Subject) -> list[str]:
    if subject.key in found.missing and not found.runs(subject.key):
        return [subject.name, f"**{found.missing[subject.key]}**", *["–"] * 5]
    every = found.runs(subject.key)

    def middle(of: Callable[[Run], float]) -> float:
        return _median(of(run) for run in every)

    doubts = sorted({doubt for run in every for doubt in run.doubts})
    return [
        subject.name,
        spread((run.us for run in every), "{:,.2f}"),
        f"{middle(lambda r: r.redis_us):.2f} / {middle(lambda r: r.postgres_us):.2f}",
        f"{middle(lambda r: r.per_second):,.0f}",
        f"{middle(lambda r: r.report.p50_ms):,.1f} / {middle(lambda r: r.report.p99_ms):,.1f}",
        f"{middle(lambda r: r.report.deliveries / max(1, r.report.frames)):.2f}",
        "; ".join(doubts) or "–",
    ]


def cell_tables(found: Found) -> list[str]:
    cell = found.cell
    lines = [f"### {cell.title}", "", *_table(HEAD, (_cell_row(found, s) for s in cell.entrants)), ""]
    ours = [s for s in cell.entrants if s.family == "ours"]
    rivals = [s for s in cell.entrants if s.family != "ours"]
    if ours and rivals:
        lines += ["CPU per delivery, theirs ÷ ours, made inside each repetition:", ""]
        rows = [[r.name, *(spread(found.ratios(o.key, r.key), "{:.2f} ×") for o in ours)] for r in rivals]
        lines += [*_table(["", *(o.name.replace("**livesale**, ", "") for o in ours)], rows), ""]
    if ours:
        lines += [_lifted_for(ours), ""]
    counted = f"{cell.repetitions} repetition{'s' if cell.repetitions > 1 else ''}"
    left_out = len(found.rounds) - len(found.kept)
    if left_out:
        counted += f", {left_out} left out because the floor was more than {runs.FLOOR_DRIFT:.0%} off"
    lines += [f"{counted}; {len(found.voided)} runs repeated.", ""]
    return lines


def _lifted_for(subjects: Iterable[Subject]) -> str:
    """Which limits were lifted for whom; who shares a list is named together."""
    shared: dict[str, list[str]] = {}
    for subject in subjects:
        names = ", ".join(lifts.SAID[name] for name in subject.lifted) or "nothing"
        shared.setdefault(names, []).append(subject.name.replace("**livesale**, ", ""))
    said = [f"{names}, for {' and '.join(f'“{who}”' for who in whose)}" for names, whose in shared.items()]
    return "Lifted: " + "; ".join(said) + "."


def alone_table(cells: list[Found]) -> list[str]:
    """Cells that only the product has entered, and the floor: how it grows."""
    rows = [[found.cell.title, *_cell_row(found, s)] for found in cells for s in found.cell.entrants]
    subjects = {s.key: s for found in cells for s in found.cell.entrants if s.family == "ours"}.values()
    return ["### Without rivals", "", *_table(["cell", *HEAD], rows), "", _lifted_for(subjects), ""]


def idle_table(results: Results) -> list[str]:
    rows = [
        [s.name, values if isinstance(values, str) else spread(values)]
        for s in results.idle_entrants
        if (values := results.idle.get(s.key)) is not None
    ]
    return _table(["server", f"KiB of resident memory per socket, {IDLE_SOCKETS:,} sockets"], rows)


# --- the page ---------------------------------------------------------------------------------------------------------


def body(results: Results) -> str:
    """Targets and tables: what is also printed."""
    lines = ["## Targets", "", *target_table(results), ""]
    if results.wrong:
        lines += ["Wrong answers of the product, which no figure makes good:", ""]
        lines += [*(f"- {line}" for line in results.wrong), ""]
    lines += ["## Cells", ""]
    alone = [
        f
        for f in results.cells.values()
        if all(s.family == "ours" or s.key == "floor" for s in f.cell.entrants)
    ]
    for found in results.cells.values():
        if found not in alone:
            lines += cell_tables(found)
    if alone:
        lines += alone_table(alone)
    if results.idle:
        lines += ["### A quiet socket", "", *idle_table(results), ""]
    return "\n".join(lines)


def _voided(results: Results) -> list[str]:
    lines = [f"- {key}: {what}" for key, found in results.cells.items() for what in found.voided]
    return lines or ["- none"]


def page(results: Results) -> str:
    lifted = "\n".join(f"- {name}: {said}" for name, said in lifts.SAID.items())
    voided = "\n".join(_voided(results))
    return f"""# Fan-out: what it costs to tell everybody

`{results.command}` on {datetime.now(UTC):%Y-%m-%d}, {results.seconds / 60:.0f} minutes.

One of N sockets publishes a message of about 200 bytes, all N receive it. CPU is user and system time of the server's
process tree, of Redis and of PostgreSQL, divided by the deliveries that the client counted; the kernel's work for the
receiving end of loopback is in it, for every server alike. The client checks that every socket got every message
exactly once and in its sender's order; a server that did not has no ratio. *Closed loop*: a sender publishes again when
all have its last message. *Messages/s*: due by the clock, whatever the server does; latency counts from then.

Rivals are small and honest (`tests/bench/fanout/rivals/`): what their own documentation says. Ours is the whole
product: everybody is signed in, permissions are checked, PostgreSQL commits to disk. *Signals* (reactions) pass
through no database, like the rivals' messages; *durable* messages are in the log before anybody hears them, and their
frames are larger. *In ticks* is how the product ships: what comes within a tick leaves in one write. nchan and the
floor run without Redis and keep nothing: lower bounds.

Every run has a fresh server. The order is shuffled in every repetition, ratios are made inside it, targets are judged
by the median. A run is repeated (twice at most) when anything was missing or wrong, when the generator used
{runs.GENERATOR_MOST:.0%} of its core or others {runs.OTHERS_MOST:.0%} of the machine, when more than
{runs.STOLEN_MOST:.0%} was stolen, or when the server used under {runs.TICKS_LEAST} ticks of CPU; what is left of that
is in the remarks.

{body(results)}
## What the benchmark lifts

From few sockets comes what many people send in life. Each table says which of these were lifted in it; permissions,
log, receipts, viewer counts, beacons and bounded outboxes stay.

{lifted}

## Runs that were repeated

{voided}

## Machine

{machine.description()}; {results.cores.said}.

{parts.versions()}.
"""
