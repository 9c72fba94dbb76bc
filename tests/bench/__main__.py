"""All benchmarks one after the other, and one table of what was wanted.

python -m tests.bench           smoke: every part in its short form, rough ratios
python -m tests.bench --full    the verdict: repetitions, and the reports under docs/benchmarks/
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.processes import ROOT

PARTS = {
    "fanout": "one message to many sockets, beside stock Channels, Socket.IO, ws, nchan and a loop in C",
    "orders": "claims, beside three ways to write them, in the process and through sockets",
    "storm": "everybody drops and comes back",
    "slow": "some stop reading",
    "growth": "what a command costs as the log grows",
}
VERDICTS = ("pass", "falls short")


def run(part: str, flags: list[str]) -> tuple[int, list[str]]:
    """Run one benchmark, showing what it says; its exit code and the rows of its tables that hold a verdict."""
    rows = []
    words = [sys.executable, "-m", f"tests.bench.{part}", *flags]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if line.startswith("|") and cells[-1] in VERDICTS:
                rows.append(line.strip())
    return process.returncode, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--full", action="store_true", help="the verdict; writes docs/benchmarks/")
    arguments = parser.parse_args()
    table, failed, started = [], [], time.monotonic()
    for number, (part, what) in enumerate(PARTS.items(), 1):
        print(f"\n=== {number} of {len(PARTS)}: {part}: {what}\n", flush=True)
        full = ["--full"] if part == "fanout" else []
        code, rows = run(part, full if arguments.full else ["--quick"])
        table += rows
        if code:
            failed.append(part)
    print(f"\n=== what was wanted ({(time.monotonic() - started) / 60:.0f} min)\n")
    print("| what | measured | wanted | |\n|---|---|---|---|")
    print("\n".join(table))
    if failed:
        print(f"\nnot finished, or wrong: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
