"""Orders per second, in one process: claims through the lane beside claims as one would write them with the ORM.

python -m tests.bench.orders [--quick] [--engine postgres|sqlite] [--profile]

Rounds are interleaved (A B C D, D C B A, …), the first one is dropped, ratios are made inside a round. Every run is
verified from the database; one wrong row and the benchmark fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests import services
from tests.processes import ROOT, environment, manage

PAGE = ROOT / "docs" / "benchmarks" / "orders.md"
ENGINES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}
TARGETS = {"postgres": 40.0, "sqlite": 20.0}
MIX_TARGET = 0.6
# No single round may fall below this part of a target.
WORST = 0.7

Run = dict[str, Any]


def child(arguments: argparse.Namespace) -> None:
    """Measure on the database of DATABASE_URL; a line of JSON per run."""
    import django

    django.setup()
    from tests.bench import driver

    market = driver.market_for_bench(
        3_000 if arguments.profile else int(driver.PEOPLE * min(1, arguments.seconds / 4))
    )
    print(json.dumps({"settings": driver.settings_in_force()}), flush=True)
    if arguments.profile:
        profile(market, driver, arguments.profile)
        return
    designs = list(driver.DESIGNS)
    for number in range(arguments.rounds + 1):
        for design in designs if number % 2 == 0 else reversed(designs):
            found = driver.run(market, design, arguments.seconds, seed=1_000 + number)
            print(json.dumps({"round": number, **found}), flush=True)


def profile(market: Any, driver: Any, design: str) -> None:
    """Where the lane's thread spends its time."""
    import cProfile
    import pstats

    from chat.log import lane

    profiler = cProfile.Profile()
    carry_out = lane.Lane._carry_out

    def profiled(self: Any, batch: Any) -> None:
        profiler.enable()
        try:
            carry_out(self, batch)
        finally:
            profiler.disable()

    driver.run(market, design, 1.0, seed=1)
    plain = driver.run(market, design, 3.0, seed=2)
    lane.Lane._carry_out = profiled  # type: ignore[method-assign]
    found = driver.run(market, design, 3.0, seed=3)
    statistics_ = pstats.Stats(profiler, stream=sys.stderr)
    statistics_.sort_stats("tottime").print_stats(35)
    statistics_.sort_stats("cumtime").print_stats(50)
    print("without profiler", plain, "\nwith", found, file=sys.stderr)


# --- the parent ---------------------------------------------------------------------------------------------------


def measure(engine: str, arguments: argparse.Namespace) -> tuple[dict[str, str], list[Run]]:
    folder = services.temporary_folder("bench")
    server = services.start_postgres(durable=True) if engine == "postgres" else None
    try:
        url = server.create_database("bench") if server else None
        env = environment(folder, database_url=url, env={"LOG_LEVEL": "ERROR", **_postmaster(server)})
        manage(env, "migrate", "--verbosity", "0")
        words = [sys.executable, "-m", "tests.bench.orders", "--child"]
        words += ["--seconds", str(arguments.seconds), "--rounds", str(arguments.rounds)]
        if arguments.profile:
            words += ["--profile", arguments.profile]
        runs: list[Run] = []
        settings: dict[str, str] = {}
        with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as measuring:
            assert measuring.stdout is not None
            for text in measuring.stdout:
                line = json.loads(text)
                if "settings" in line:
                    settings = line["settings"]
                    continue
                runs.append(line)
                print(
                    f"{engine:9} round {line['round']} {line['design']:7} {line['rate']:>9,.0f}/s"
                    f"  p50/p99 {line['p50_ms']:>7,.1f} / {line['p99_ms']:>7,.1f} ms"
                    f"  CPU {line['app_us']:>6,.0f} + {line['db_us']:>5,.0f} µs"
                    f"  others {line['others']:.0%}"
                    f"  {'verified' if not line['wrong'] else line['wrong']}",
                    flush=True,
                )
        if measuring.returncode:
            raise SystemExit(f"{engine}: the measuring process ended with {measuring.returncode}")
        return settings, runs
    finally:
        if server is not None:
            server.stop()
        services.remove_folder(folder)


def _postmaster(server: Any) -> dict[str, str]:
    folder = getattr(server, "folder", None)
    if folder is None:
        return {}
    return {"BENCH_POSTMASTER": (folder / "data" / "postmaster.pid").read_text().split()[0]}


class Result:
    """What the kept rounds of one engine say."""

    def __init__(self, engine: str, settings: dict[str, str], runs: list[Run]) -> None:
        self.engine, self.settings = engine, settings
        self.wrong = [f"round {r['round']} {r['design']}: {w}" for r in runs for w in r["wrong"]]
        rounds: dict[int, dict[str, Run]] = {}
        for r in runs:
            rounds.setdefault(r["round"], {})[r["design"]] = r
        self.rounds = [rounds[number] for number in sorted(rounds) if number > 0]

    def values(self, design: str, name: str) -> list[float]:
        return [r[design][name] for r in self.rounds]

    def best_naive(self, round_: dict[str, Run]) -> Run:
        return max((round_["naive1"], round_["naive8"]), key=lambda r: r["rate"])

    @property
    def ratios(self) -> list[float]:
        return [r["claims"]["rate"] / self.best_naive(r)["rate"] for r in self.rounds]

    @property
    def cpu_ratios(self) -> list[float]:
        def cpu(run: Run) -> float:
            return float(run["app_us"] + run["db_us"])

        return [min(cpu(r["naive1"]), cpu(r["naive8"])) / cpu(r["claims"]) for r in self.rounds]

    @property
    def others(self) -> list[float]:
        """What part of the machine somebody else used, run by run."""
        return [run["others"] for r in self.rounds for run in r.values()]

    @property
    def mix(self) -> list[float]:
        return [r["mix"]["rate"] / r["claims"]["rate"] for r in self.rounds]

    def verdicts(self) -> list[tuple[str, str, str, str]]:
        target = TARGETS[self.engine]
        return [
            _verdict("claims accepted / s, ours ÷ best ORM", self.ratios, target, "{:.0f} ×"),
            _verdict("CPU per claim (app + database), best ORM ÷ ours", self.cpu_ratios, None, "{:.0f} ×"),
            _verdict("mix ÷ claims only, commands / s", self.mix, MIX_TARGET, "{:.2f} ×"),
            ("rows wrong, all runs", str(len(self.wrong)), "0", _word(not self.wrong)),
        ]


def _word(passed: bool) -> str:
    return "pass" if passed else "falls short"


def _verdict(what: str, values: list[float], target: float | None, shape: str) -> tuple[str, str, str, str]:
    middle = statistics.median(values)
    said = f"{shape.format(middle)} ({shape.format(min(values))} to {shape.format(max(values))})"
    if target is None:
        return what, said, "–", "–"
    passed = middle >= target and min(values) >= WORST * target
    return what, said, f"≥ {shape.format(target)}", _word(passed)


def _noise(others: list[float]) -> str:
    middle, most = statistics.median(others), max(others)
    note = "" if middle < 0.1 else ": too much for the absolute figures; ratios are made inside a round"
    return f"Other processes used {middle:.0%} of the machine (at most {most:.0%}){note}."


def table(results: list[Result]) -> str:
    from_names = {
        "claims": "claims through the lane, one hot offer",
        "mix": "70 % chat, 30 % claims through the lane, 50 rooms",
        "naive1": "claims by ORM, 1 thread",
        "naive8": "claims by ORM, 8 threads",
    }
    lines = []
    for result in results:
        lines += [f"## {ENGINES[result.engine]}", ""]
        lines += ["Settings: " + ", ".join(f"{k} = {v}" for k, v in result.settings.items()) + ".", ""]
        lines += [
            "| what | commands / s: median (min to max) | p50 / p99 ms | CPU µs each: app + database | batch |",
            "|---|---|---|---|---|",
        ]
        for design, name in from_names.items():
            rates = result.values(design, "rate")
            middle = {
                key: statistics.median(result.values(design, key))
                for key in ("p50_ms", "p99_ms", "app_us", "db_us", "batch")
            }
            lines.append(
                f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
                f" | {middle['p50_ms']:,.1f} / {middle['p99_ms']:,.1f}"
                f" | {middle['app_us']:,.0f} + {middle['db_us']:,.0f} | {middle['batch']:,.0f} |"
            )
        lines += ["", "| target | measured: median (worst to best round) | wanted | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in result.verdicts()]
        lines += ["", _noise(result.others)] + [f"- {w}" for w in result.wrong[:10]] + [""]
    return "\n".join(lines).rstrip() + "\n"


def page(results: list[Result], arguments: argparse.Namespace, seconds: float) -> str:
    return f"""# Orders: how fast one process takes them

`{arguments.said}` on {datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.1f} minutes.

500 buyers, each waiting for its answer before it asks again; every commit on disk before it is answered. 10 % of the
claims want two units, 5 % of the answered ones are sent again with the same id and must get the same answer; each
person claims three times, the first time begins a basket. {arguments.rounds} rounds of {arguments.seconds:g} s per row,
in alternating order, after one that is dropped; ratios are made inside a round.

*Through the lane*: `chat.log.lane`, the handlers of `livesale.claims` with permissions, limits, receipts, stock,
basket, line, ledger, log and promises; answers come back to an event loop as those of sockets do. No socket, no
fan-out.
*By ORM*: `tests/bench/naive.py`, one transaction per claim with `select_for_update` and ORM rows, which writes the same
tables and gives the same answers, on the better of 1 and 8 threads. After each run the log must be without gaps, the
units of the lines must be those that were answered, every claim must have one event and one receipt, and `manage.py
verify` must find no drift.

A target is met when the median of the rounds meets it and no round is below {WORST:.0%} of it.

{table(results)}
## Machine

{_machine()}

The database server runs on the same cores. Rounds of one machine differ; compare rows, not days.
"""


def _machine() -> str:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = next(
        int(line.split()[1]) // 1024**2
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    import django
    import psycopg

    return (
        f"{os.cpu_count()} cores {cpu}, {memory} GiB; Python {platform.python_version()}, Django {django.__version__}, "
        f"psycopg {psycopg.__version__}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="at most 90 seconds; the page is not written")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this database")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=None, help="length of a run")
    parser.add_argument(
        "--profile", choices=["claims", "mix"], help="print where the lane's time goes instead"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (1.2 if arguments.quick else 4.0)
    if arguments.child:
        child(arguments)
        return 0
    arguments.said = "python -m tests.bench.orders " + " ".join(sys.argv[1:])
    started = time.monotonic()
    results = []
    for engine in arguments.engine or ENGINES:
        settings, runs = measure(engine, arguments)
        if not arguments.profile:
            results.append(Result(engine, settings, runs))
    if arguments.profile:
        return 0
    taken = time.monotonic() - started
    print("\n" + table(results) + f"\n{taken:.0f} s")
    if not arguments.quick and not arguments.engine:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(results, arguments, taken))
    return 1 if any(r.wrong for r in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
