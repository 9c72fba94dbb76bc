"""CPU seconds that were used: by a process and its children, by PostgreSQL, by the whole machine. From /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def own() -> float:
    times = os.times()
    return times.user + times.system


def _stat(pid: str) -> list[str]:
    """The fields of /proc/PID/stat behind the name: [1] is the parent, [11:15] own and reaped children's ticks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return []


def of_tree(root: int) -> float:
    """A process with its children, those that have ended included."""
    top = _stat(str(root))
    total = sum(int(f) for f in top[11:15])
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(entry.name)
        if fields and fields[1] == str(root):
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def of_all(roots: Iterable[int]) -> float:
    return sum(map(of_tree, roots))


def of_machine() -> float:
    """All processes, and what the host took from the machine."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, stolen = (int(word) for word in words[:8])
    return (user + nice + system + irq + softirq + stolen) / _TICKS
