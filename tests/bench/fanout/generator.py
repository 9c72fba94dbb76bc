"""The load generator, `load.c`, as a Python object: it joins, waits for the word, publishes, and says what came."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from tests.bench.fanout import parts


@dataclass(frozen=True)
class Load:
    """What is to be published. Closed loop when there is no rate: a sender waits until all have its last message."""

    sockets: int
    senders: int
    rooms: int = 1
    rate: float | None = None
    """Messages per second, of all senders together."""
    warm: float = 1.5
    seconds: float = 4.0
    drain: float = 5.0
    stall: float = 10.0
    """Seconds after which a closed-loop sender gives its message up."""
    in_flight: int = 16
    patience: float = 120.0
    """Seconds for all sockets to join."""


@dataclass(frozen=True)
class Report:
    """What the generator counted in the window; `sent`, `received` and the faults from the first message on."""

    deliveries: int
    messages: int
    frames: int
    seconds: float
    sent: int
    received: int
    missing: int
    duplicates: int
    disorder: int
    strays: int
    closed: int
    stalls: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_seconds: float
    join_seconds: float

    @property
    def faults(self) -> dict[str, int]:
        """What a correct server does not do; empty when all was right."""
        names = ("missing", "duplicates", "disorder", "strays", "closed", "stalls")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class GeneratorFailed(RuntimeError):
    """The sockets could not be made; the message says which and why."""


class Generator:
    """One run: `with Generator(…) as g: g.joined(); g.begin(); g.started(); g.ended(); report = g.report()`."""

    def __init__(
        self,
        load: Load,
        *,
        ports: Sequence[int],
        path: str,
        publish: Sequence[str],
        setup: Sequence[str] = (),
        answer: str = "",
        folder: Path,
    ) -> None:
        publish_file, setup_file = folder / "publish.tsv", folder / "setup.tsv"
        publish_file.write_text("".join(f"{line}\n" for line in publish))
        setup_file.write_text("".join(f"{line}\n" for line in setup))
        words = [str(parts.compiled("load")), "--wait", "--ports", ",".join(map(str, ports)), "--path", path]
        words += ["--publish", str(publish_file), "--setup", str(setup_file)]
        for name in ("sockets", "senders", "rooms", "warm", "seconds", "drain", "stall", "patience"):
            words += [f"--{name}", f"{getattr(load, name):g}"]
        words += ["--in-flight", str(load.in_flight)]
        words += ["--closed"] if load.rate is None else ["--rate", f"{load.rate:g}"]
        if answer:
            words += ["--answer", answer]
        self._words = words

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _next(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        said = json.loads(line) if line else {"error": f"the generator ended with {self._process.wait()}"}
        if said.get("event") != event:
            raise GeneratorFailed(said.get("error", f"{said} instead of {event}"))
        return dict(said)

    def joined(self) -> None:
        """Wait until every socket is where its setup leads."""
        self._next("joined")

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def started(self) -> None:
        """Wait for the beginning of the measured window."""
        self._next("start")

    def ended(self) -> None:
        self._next("end")

    def report(self) -> Report:
        said = self._next("result")
        return Report(**{f.name: said[f.name] for f in fields(Report)})

    def run(self) -> Report:
        """All of it, for those who measure nothing beside it."""
        self.joined()
        self.begin()
        self.started()
        self.ended()
        return self.report()
