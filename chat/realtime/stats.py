"""What the wire of this process has done since it started, in plain numbers; written on the event loop alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class WireStats:
    opened: int = 0
    """Sockets whose application began."""
    frames_in: int = 0
    frames_fanned_out: int = 0
    """Counted once per fan-out, by its followers: log and signal lane together."""
    errors: Counter[str] = field(default_factory=Counter)
    """Error frames by code."""
    closed: Counter[str] = field(default_factory=Counter)
    """Sockets that this side has closed, by the name of the close code."""
    joined: Counter[str] = field(default_factory=Counter)
    """Streams joined, by what the client got: what it had missed (`replay`), or a snapshot, as a newcomer (`snapshot`)
    or because what it had missed is not to be had (`resync`); or nothing (`refused`)."""


# One wire per process, by design.
stats = WireStats()
