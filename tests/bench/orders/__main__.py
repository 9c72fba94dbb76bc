"""Orders per second beside other designs, same rows, same answers, same run.

python -m tests.bench.orders [--quick] [--engine postgres|slow|sqlite] [--cells WORD …] [--profile claims|mix|refusals]

Rounds are interleaved (A B C D, D C B A, …), the first one is dropped, ratios are made inside a round. Every run is
verified from the database; one wrong row and the benchmark fails. The page is written by the full form only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests import services
from tests.bench.orders import report
from tests.bench.orders.cells import ENGINES
from tests.processes import ROOT, environment, manage

PAGE = ROOT / "docs" / "benchmarks" / "orders.md"
SLOWER = {"commit_delay": "2000", "commit_siblings": "0"}


def measure(engine: str, arguments: argparse.Namespace) -> report.Result | None:
    """Start a database for this engine, and a process that measures on it; None when it only profiles."""
    folder = services.temporary_folder("bench")
    server = None if engine == "sqlite" else services.start_postgres(durable=True, options=_options(engine))
    try:
        url = server.create_database("bench") if server else None
        env = environment(folder, database_url=url, env={"LOG_LEVEL": "ERROR", **_postmaster(server)})
        manage(env, "migrate", "--verbosity", "0")
        words = [sys.executable, "-m", "tests.bench.orders", "--child", "--engine", engine]
        for name in ("seconds", "rounds", "warm_up", "repeats", "profile"):
            if (value := getattr(arguments, name)) is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        words += ["--cells", *arguments.cells] if arguments.cells else []
        runs: list[report.Run] = []
        settings: dict[str, str] = {}
        with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as measuring:
            assert measuring.stdout is not None
            for text in measuring.stdout:
                found = json.loads(text)
                if "settings" in found:
                    settings = found["settings"]
                else:
                    runs.append(found)
                    print(report.line(engine, found), flush=True)
        if measuring.returncode:
            raise SystemExit(f"{engine}: the measuring process ended with {measuring.returncode}")
        return report.Result(engine, settings, runs) if runs else None
    finally:
        if server is not None:
            server.stop()
        services.remove_folder(folder)


def _options(engine: str) -> dict[str, str]:
    return SLOWER if engine == "slow" else {}


def _postmaster(server: Any) -> dict[str, str]:
    folder: Path | None = getattr(server, "folder", None)
    if folder is None:
        return {}
    return {"BENCH_POSTMASTER": (folder / "data" / "postmaster.pid").read_text().split()[0]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="at most four minutes; the page is not written")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this database")
    parser.add_argument(
        "--cells", nargs="+", default=[], help="only cells with one of these words in the name"
    )
    parser.add_argument("--rounds", type=int, default=None, help="rounds that are kept")
    parser.add_argument("--seconds", type=float, default=None, help="length of a run")
    parser.add_argument("--warm-up", type=float, default=None, help="length of a run in the dropped round")
    parser.add_argument("--repeats", type=int, default=None, help="how often a void run is repeated")
    parser.add_argument(
        "--profile", choices=["claims", "mix", "refusals"], help="print where the lane's time goes instead"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quick = {"rounds": 1, "seconds": 1.2, "warm_up": 0.3, "repeats": 0}
    full = {"rounds": 5, "seconds": 4.0, "warm_up": 2.0, "repeats": 2}
    for name, value in (quick if arguments.quick else full).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


def child(arguments: argparse.Namespace) -> None:
    import django

    django.setup()
    if arguments.worker:
        from tests.bench.orders import workers

        workers.serve()
        return
    from tests.bench.orders import rounds

    arguments.engine = arguments.engine[0]
    if arguments.profile:
        rounds.profile(arguments)
    else:
        rounds.measure(arguments)


def main() -> int:
    arguments = _arguments()
    if arguments.child or arguments.worker:
        child(arguments)
        return 0
    started = time.monotonic()
    found = [measure(engine, arguments) for engine in arguments.engine or ENGINES]
    results = [result for result in found if result is not None]
    if not results:
        return 0
    taken = time.monotonic() - started
    print(f"\n{report.verdicts(results)}\n\n{report.tables(results)}\n{taken:.0f} s")
    if not arguments.quick and not arguments.engine and not arguments.cells:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(
            report.page(
                results,
                command=" ".join(["python -m tests.bench.orders", *sys.argv[1:]]),
                rounds=arguments.rounds,
                run_seconds=arguments.seconds,
                minutes=taken / 60,
            )
        )
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
