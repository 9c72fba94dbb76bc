"""What one client may do, and how fast. All of it is told in the `hello`."""

from __future__ import annotations

import time

# What the log lane waits between two fan-outs of one stream, in seconds: so long for each event that the last one
# carried, and no longer than a tick. The first event after quiet leaves at once, a conversation hardly waits, and in a
# flood what comes within a tick leaves in one write.
TICK_EACH = 0.0125
TICK = 0.05
# The same for the signal lane, whatever it carries.
SIGNAL_TICK = 0.2

# Characters of one text frame; anything larger is refused unread.
FRAME = 64 * 1024
# Characters of one command's frame.
COMMAND = 16 * 1024
STREAMS = 64
ASK_IDS = 100
SOCKETS_PER_PERSON = 12
# Frames per second a client may send on average, and how many at once.
RATE = 20.0
BURST = 60
# Frames in a row that could not be understood before the socket is closed; one good frame forgives one bad one.
ERRORS = 30
# Seconds of silence after which the client is given up, and after which the server says that it is there: a client
# that answers beats is heard twice before, even where its own timers run once a minute (a page in the background).
SILENCE = 45.0
BEAT = 20.0
# Seconds after which a client gets a younger resume token with a beat; tokens live for ten minutes.
TOKEN_AGE = 240.0

TOLD = {
    "frame": FRAME,
    "command": COMMAND,
    "streams": STREAMS,
    "rate": int(RATE),
    "burst": BURST,
    "silence": int(SILENCE),
    "beat": int(BEAT),
}


class Bucket:
    """A token bucket: `rate` per second on average, `burst` at once."""

    __slots__ = ("_at", "_burst", "_counted", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens = burst
        self._counted = 0
        self._at = time.monotonic()

    def take(self) -> float:
        """Take one token; 0 if there was one, else the seconds until there will be."""
        self._refill()
        if self._tokens >= 1:
            self._tokens -= 1
            self._counted += 1
            return 0.0
        return (1 - self._tokens) / self._rate

    def spend(self, tokens: int) -> None:
        """Take tokens that were taken elsewhere already: even those that are not there, up to a burst."""
        self._refill()
        self._tokens = max(-self._burst, self._tokens - tokens)

    def count(self) -> int:
        """Tokens taken by `take` since this was asked last."""
        counted, self._counted = self._counted, 0
        return counted

    @property
    def full(self) -> bool:
        self._refill()
        return self._tokens >= self._burst

    def _refill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
