"""What the log of this process has done since it started, in plain numbers that anybody may read.

Numbers are written by the lane's thread alone and read by whoever shows them: no lock, no names looked up per event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat.log.batch import Outcome, Request


class Distribution:
    """How often a value fell up to each of some bounds; the last count is of those beyond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class LogStats:
    # half as dear as a Counter, and this is per command
    commands: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Answered commands by name and result: what the handler calls the answer, or the code of the refusal."""
    batch_size: Distribution = field(default_factory=lambda: Distribution(1, 2, 5, 10, 20, 50, 100, 200, 500))
    batch_seconds: Distribution = field(
        default_factory=lambda: Distribution(
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5
        )
    )
    """From drawing a batch to its commit."""
    deferred: int = 0
    """Commands put back because somebody else kept their stream locked."""
    retried: int = 0
    """Transactions run once more: a deadlock, a lost connection, a search for what made them fail."""
    turned_away: int = 0
    """Commands that found too much waiting, or a process that ends."""
    events: int = 0
    """Events committed."""

    def note_batch(self, size: int, seconds: float, outcome: Outcome) -> None:
        self.batch_size.add(size)
        self.batch_seconds.add(seconds)
        self.deferred += len(outcome.deferred)
        for committed in outcome.committed:
            self.events += committed.last - committed.first + 1

    def note_answers(self, requests: Sequence[Request]) -> None:
        commands = self.commands
        for r in requests:
            error = r.error
            if error is not None:
                result = getattr(error, "code", "server.error")
            elif r.repeated:
                result = "repeated"
            else:
                result = r.spec.handler.outcome(r.answer or {})
            commands[r.spec.name, result] += 1


# One log per process, by design.
stats = LogStats()
