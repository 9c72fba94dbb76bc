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
# What is left on this process to somebody who spends all of that on others; for how long after the last that was heard
# of it, in seconds; and how far one can get into debt there, in bursts.
RESERVE_RATE = 2.0
RESERVE_BURST = 5.0
RESERVE_FOR = 3.0
DEBT_BURSTS = 10
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
    """A token bucket: `rate` per second on average, `burst` at once.

    Where tokens are spent elsewhere too, a few frames a second are let in all the same: whoever overdoes it in one
    place is slowed down in the others, not shut out.
    """

    __slots__ = ("_at", "_burst", "_counted", "_elsewhere_at", "_rate", "_reserve", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens = burst
        self._reserve = RESERVE_BURST
        self._counted = 0
        self._at = time.monotonic()
        self._elsewhere_at = float("-inf")

    def take(self) -> float:
        """Take one token; 0 if there was one, else the seconds until there will be."""
        self._refill()
        reserved = self._at - self._elsewhere_at < RESERVE_FOR
        if self._tokens >= 1:
            self._tokens -= 1
        elif reserved and self._reserve >= 1:
            self._reserve -= 1
        else:
            wait = (1 - self._tokens) / self._rate
            return min(wait, (1 - self._reserve) / RESERVE_RATE) if reserved else wait
        self._counted += 1
        return 0.0

    def spend(self, tokens: float) -> None:
        """Take tokens that another process has given out already, even those that are not there."""
        self.charge(tokens)
        self._elsewhere_at = self._at

    def charge(self, tokens: float) -> None:
        """Take tokens that were taken before this bucket was drawn on."""
        self._refill()
        self._tokens = max(-DEBT_BURSTS * self._burst, self._tokens - tokens)

    def count(self) -> int:
        """Tokens taken by `take` since this was asked last."""
        counted, self._counted = self._counted, 0
        return counted

    @property
    def missing(self) -> float:
        """What is not there of a full bucket."""
        self._refill()
        return self._burst - self._tokens

    def _refill(self) -> None:
        now = time.monotonic()
        passed = now - self._at
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        self._reserve = min(RESERVE_BURST, self._reserve + passed * RESERVE_RATE)
        self._at = now
