"""Fan-out: what one delivery costs, beside Channels' tutorial, Socket.IO, ws, nchan and a bare loop in C.

python -m tests.bench.fanout (--quick | --full) [--cell KEY …] [--only KEY …] [--repetitions N]

--quick: minutes; one repetition of what matters most. --full: the verdict, more than an hour on a quiet machine; writes
docs/benchmarks/fanout.md and its charts. Needs a C compiler, and for the rivals Node and nginx with nchan: what is not
there is said in the report.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace

from tests.bench.fanout import charts, plan, runs
from tests.bench.fanout.report import Results, body, page
from tests.processes import ROOT
from tests.services import MissingPart

PAGE = ROOT / "docs" / "benchmarks" / "fanout.md"
CHARTS = {"closed-500": "fanout-cost.png", "growth": "fanout-growth.png"}


def say(text: str) -> None:
    print(text, flush=True)


def chosen(arguments: argparse.Namespace) -> list[runs.Cell]:
    """The plan, less what the arguments leave out."""
    cells = plan.full() if arguments.full else plan.quick()
    if arguments.cell:
        known = {cell.key: cell for cell in (*plan.full(), *cells)}
        unknown = set(arguments.cell) - known.keys() - {"idle"}
        if unknown:
            raise SystemExit(f"no such cell: {', '.join(unknown)}; there are {', '.join(known)}, idle")
        cells = [known[key] for key in arguments.cell if key != "idle"]
    if arguments.repetitions:
        cells = [replace(cell, repetitions=arguments.repetitions) for cell in cells]
    if arguments.only:
        cells = [
            replace(cell, entrants=tuple(s for s in cell.entrants if s.key in arguments.only))
            for cell in cells
        ]
    return cells


def measure_idle(bench: runs.Bench, results: Results, only: list[str] | None, repetitions: int) -> None:
    results.idle_entrants = tuple(s for s in plan.idle_entrants() if not only or s.key in only)
    for subject in results.idle_entrants:
        try:
            values = [runs.idle_kib(bench, subject, plan.IDLE_SOCKETS) for _ in range(repetitions)]
        except MissingPart as part:
            results.idle[subject.key] = f"**NOT MEASURED: {part}**"
        except (RuntimeError, TimeoutError) as failure:
            results.idle[subject.key] = f"**FAILED: {str(failure).strip().splitlines()[0]}**"
        else:
            results.idle[subject.key] = values
        say(f"{'idle':14} {subject.key:32} {results.idle[subject.key]}")


def write_page(results: Results) -> None:
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    drawn = []
    if "closed-500" in results.cells:
        found = results.cells["closed-500"]
        values = [
            (
                s.name.replace("**", ""),
                statistics.median(run.us for run in found.runs(s.key)),
                s.family == "ours",
            )
            for s in found.cell.entrants
            if found.runs(s.key)
        ]
        title = "CPU per delivery, 500 sockets, closed loop"
        drawn.append((CHARTS["closed-500"], title, charts.bars(title, "µs", values)))
    grown: dict[str, list[tuple[float, float]]] = {}
    for found in results.cells.values():
        if found.cell.key.startswith("growth"):
            processes = found.cell.processes
            for subject in found.cell.entrants:
                if of_subject := found.right_runs(subject.key):
                    name = f"{processes} process{'es' if processes > 1 else ''}"
                    if subject.key == "floor":
                        name = "the floor: a loop in C"
                    cost = statistics.median(run.us for run in of_subject)
                    grown.setdefault(name, []).append((found.cell.load.sockets, cost))
    if grown:
        title = "CPU per delivery by sockets in one room"
        drawn.append((CHARTS["growth"], title, charts.lines(title, "µs", grown)))
    text = page(results)
    for name, title, svg in drawn:
        charts.save_png(svg, PAGE.parent / name)
        text = text.replace("## Cells\n", f"![{title}]({name})\n\n## Cells\n", 1)
    PAGE.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="minutes; the page is not written (the default)")
    size.add_argument("--full", action="store_true", help="the verdict; writes docs/benchmarks/fanout.md")
    parser.add_argument("--cell", action="append", help="only this cell (idle: the memory of quiet sockets)")
    parser.add_argument("--only", action="append", help="only this server, by its key")
    parser.add_argument("--repetitions", type=int, default=None)
    arguments = parser.parse_args()
    cells = chosen(arguments)
    started = time.monotonic()
    with runs.open_bench() as bench:
        command = " ".join(["python -m tests.bench.fanout", *sys.argv[1:]])
        results = Results(command, bench.cores)
        for cell in cells:
            results.cells[cell.key] = runs.carry_out(bench, cell, say)
        if (arguments.full and not arguments.cell) or "idle" in (arguments.cell or []):
            measure_idle(bench, results, arguments.only, arguments.repetitions or 1)
    results.seconds = time.monotonic() - started
    say("\n" + body(results) + f"\n{results.seconds:.0f} s")
    if arguments.full and not arguments.only:  # a page of some cells says so: the command stands on it
        write_page(results)
    return 1 if results.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
