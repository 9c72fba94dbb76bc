"""The signal lane: stock counts, viewers, reactions, typing. The latest value wins; what is older may be dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from chat.log import clock
from chat.realtime import doorbell, protocol
from chat.realtime.outbox import send_to_all
from chat.realtime.watch import Follower, Watch

# Passing signals (typing, reactions) of one stream that leave per tick; more are dropped.
PASSING_LIMIT = 100
# Seconds between two announcements of how many watch: when thousands come at once, nobody wants to hear of each.
VIEWERS_TICK = 1.0
# A process's viewer counts are forgotten when it has not repeated them for this long, in seconds.
VIEWERS_EXPIRE = 12.0


def take(watch: Watch, values: dict[str, tuple[int, Any]]) -> None:
    """Keep those that are younger than what is known, and send them on: now, or with the next tick."""
    for key, value in values.items():
        old = watch.values.get(key)
        if old is None or old[0] < value[0]:
            watch.values[key] = value
            watch.dirty.add(key)
    if watch.dirty:
        watch.signal_fanout.plan(lambda: _send(watch))


def _send(watch: Watch) -> None:
    values = {key: watch.values[key] for key in watch.dirty}
    if not values:
        return
    frame = protocol.values_frame(watch.stream_id, values)
    for key in watch.dirty & watch.passing:
        # who types or claps is news for a moment only: nothing is kept for newcomers
        del watch.values[key]
    watch.passing.clear()
    watch.dirty.clear()

    stream_id = watch.stream_id

    def act(followers: Sequence[Follower]) -> None:
        outboxes = [f.outbox for f in followers if f.ready]
        send_to_all(outboxes, frame, lambda outbox: outbox.put_values(stream_id, frame, values))

    def done() -> None:
        if watch.dirty:
            watch.signal_fanout.plan(lambda: _send(watch))

    watch.signal_fanout.run(list(watch.followers.values()), act, done)


def welcome(follower: Follower) -> None:
    """A newcomer gets every latest value known here, after the snapshot."""
    watch = follower.watch
    if watch.values:
        follower.outbox.put(protocol.values_frame(watch.stream_id, watch.values))


def tell(watch: Watch, message: doorbell.Tell) -> None:
    """Pass on what somebody types or claps."""
    if len(watch.passing) < PASSING_LIMIT:
        key = f"{message.name}:{message.person or 'guest'}"
        watch.passing.add(key)
        take(watch, {key: (message.version, message.value)})


# --- viewers ------------------------------------------------------------------------------------------------------


def count_viewers(watch: Watch) -> None:
    """Announce how many follow the stream, here and elsewhere, if that has changed: at most once a second."""
    if watch.viewers_planned:
        return
    wait = watch.viewers_at + VIEWERS_TICK - time.monotonic()
    if wait > 0:
        watch.viewers_planned = True
        asyncio.get_running_loop().call_later(wait, _viewers_due, watch)
        return
    if watch.remote_viewers:
        since = time.monotonic() - VIEWERS_EXPIRE
        for process in [p for p, (_, seen) in watch.remote_viewers.items() if seen < since]:
            del watch.remote_viewers[process]
    total = len(watch.followers) + sum(n for n, _ in watch.remote_viewers.values())
    if total != watch.announced_viewers:
        watch.announced_viewers = total
        watch.viewers_at = time.monotonic()
        # two changes within a millisecond are two versions
        watch.viewers_version = max(clock.told_ms(), watch.viewers_version + 1)
        take(watch, {"viewers": (watch.viewers_version, total)})


def _viewers_due(watch: Watch) -> None:
    watch.viewers_planned = False
    if watch.followers:
        count_viewers(watch)


def viewers_elsewhere(watch: Watch, process: str, count: int) -> None:
    watch.remote_viewers[process] = (count, time.monotonic())
    count_viewers(watch)
