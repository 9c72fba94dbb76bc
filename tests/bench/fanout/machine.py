"""What the kernel says: CPU time of process trees, memory, and who else is busy. Linux only."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    ticks: int
    """Own CPU time and that of its children that have ended, in clock ticks."""
    pages: int
    """Resident memory."""


def processes() -> dict[int, Process]:
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue
        pid = int(entry.name)
        found[pid] = Process(pid, int(fields[1]), sum(int(f) for f in fields[11:15]), int(fields[21]))
    return found


def trees(roots: list[int]) -> list[Process]:
    """The processes with these ids and all that descend from them."""
    everybody = processes()
    children: dict[int, list[int]] = defaultdict(list)
    for process in everybody.values():
        children[process.parent].append(process.pid)
    found, open_ = {}, list(roots)
    while open_:
        pid = open_.pop()
        if pid in everybody and pid not in found:
            found[pid] = everybody[pid]
            open_ += children[pid]
    return list(found.values())


def cpu_ticks(roots: list[int]) -> int:
    """CPU time, user and system, of process trees, in clock ticks (ended children of theirs included)."""
    return sum(process.ticks for process in trees(roots))


def resident_bytes(roots: list[int]) -> int:
    return sum(process.pages for process in trees(roots)) * PAGE


@dataclass(frozen=True)
class Busy:
    """CPU seconds of the whole machine so far."""

    at: float
    used: float
    stolen: float
    """What the host of a virtual machine has given to others."""


def busy() -> Busy:
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, stolen = (int(word) for word in words[:8])
    return Busy(time.monotonic(), (user + nice + system + irq + softirq) / TICKS, stolen / TICKS)


@dataclass(frozen=True)
class Cores:
    """Which cores the measured server runs on, and which everything else: the same for all that are compared."""

    server: frozenset[int]
    rest: frozenset[int]

    @property
    def said(self) -> str:
        if self.server == self.rest:
            return "nothing is pinned: there is one core only"
        rest = ", ".join(map(str, sorted(self.rest)))
        return f"server pinned to CPU {min(self.server)}; generator, Redis, PostgreSQL and this program to CPU {rest}"


def share_out_cores() -> Cores:
    """One core for the server; this process and its later children move to the others."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return Cores(frozenset(mine), frozenset(mine))
    cores = Cores(frozenset(mine[:1]), frozenset(mine[1:]))
    os.sched_setaffinity(0, cores.rest)
    return cores


def on_cores(cores: frozenset[int], command: list[str]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]


def allow_files(wanted: int) -> int:
    """Let this process and its children open that many files, as far as they may; how many they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if hard not in (unlimited, -1) and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, wanted))
            hard = wanted
        except (ValueError, OSError):
            pass  # only root may; the generator says how many it would have needed
    most = wanted if hard in (unlimited, -1) else min(wanted, hard)
    if soft in (unlimited, -1) or soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def description() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = next(
        int(line.split()[1]) // 1024**2
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    name = names[0] if names else platform.processor()
    return f"{os.cpu_count()} cores {name}, {memory} GiB, {platform.system()} {platform.release()}, loopback"
