"""The faults that the nemesis draws from. Each comes back when its cause is gone; what follows is recovery."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.crowd import Crowd
from tests.faults.proxy import COMMIT_ASKED, COMMIT_DONE, COMMIT_SENT, Pattern
from tests.faults.site import Postgres, Seat, Site

SKEWS = ("-61s", "-2s", "+2s", "+61s", "+1d")


@dataclass
class Nemesis:
    """What a fault may lay hands on."""

    site: Site
    crowd: Crowd
    chance: random.Random

    def seat(self) -> Seat:
        return self.chance.choice(self.site.seats)


Fault = Callable[[Nemesis], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def note(act: Fault) -> Fault:
        FAULTS[name] = act
        return act

    return note


# --- our processes ------------------------------------------------------------------------------------------------


@fault("app kill -9")
async def kill(on: Nemesis) -> None:
    seat = on.seat()
    await asyncio.sleep(on.chance.uniform(0, 0.5))
    await asyncio.to_thread(seat.process.kill9)
    await asyncio.sleep(on.chance.choice((0, 0, 2)))
    seat.process.spawn()


@fault("app SIGSTOP")
async def stop(on: Nemesis) -> None:
    seat = on.seat()
    seat.process.pause()
    try:
        await asyncio.sleep(on.chance.uniform(0.5, 7))
    finally:
        seat.process.resume()


@fault("app SIGTERM one by one")
async def rolling(on: Nemesis) -> None:
    for seat in on.site.seats:
        await _end(on, seat)
        await asyncio.to_thread(seat.process.start)


async def _end(on: Nemesis, seat: Seat) -> None:
    """SIGTERM; whoever does not end by itself within the time that a unit gives is to be blamed."""
    began = time.monotonic()
    os.kill(seat.process.pid, signal.SIGTERM)
    while seat.process.running and time.monotonic() - began < 30:  # noqa: ASYNC110 - a process, not a task
        await asyncio.sleep(0.05)
    on.crowd.history.took(f"{seat.process.server} to end", time.monotonic() - began)
    if seat.process.running:
        on.crowd.history.blame("slow", f"{seat.name} had to be killed 30 s after SIGTERM")
        # says in its log where each of its threads is
        os.kill(seat.process.pid, signal.SIGABRT)
    await asyncio.to_thread(seat.process.sigterm)


@fault("app with a wrong clock")
async def wrong_clock(on: Nemesis) -> None:
    seat = on.seat()
    seat.skew(on.chance.choice(SKEWS))
    await _end(on, seat)
    await asyncio.to_thread(seat.process.start)
    await asyncio.sleep(on.chance.uniform(4, 8))
    seat.skew(None)
    await _end(on, seat)
    seat.process.spawn()


# --- Redis --------------------------------------------------------------------------------------------------------


@fault("redis kill -9")
async def kill_redis(on: Nemesis) -> None:
    await asyncio.to_thread(on.site.redis.kill)
    await asyncio.sleep(on.chance.choice((0, 1, 4)))
    await asyncio.to_thread(on.site.redis.start)


@fault("redis FLUSHALL")
async def flush_redis(on: Nemesis) -> None:
    await asyncio.to_thread(on.site.redis.flushall)


@fault("redis link of one cut 3 s")
async def cut_redis(on: Nemesis) -> None:
    seat = on.seat()
    seat.redis.refuse(on.chance.choice(("rst", "fin")))
    await asyncio.sleep(3)
    seat.redis.flow()


@fault("redis link swallowed")
async def swallow_redis(on: Nemesis) -> None:
    seats = on.chance.choice(([on.seat()], on.site.seats))
    for seat in seats:
        seat.redis.hold(*on.chance.choice(((), ("to_server",), ("to_client",))))
    await asyncio.sleep(on.chance.uniform(2, 8))
    for seat in seats:
        seat.redis.flow()


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


@fault("postgres immediate restart")
async def restart_postgres(on: Nemesis) -> None:
    server = on.site.postgres
    assert isinstance(server, Postgres)
    await asyncio.to_thread(server.end_at_once)
    await asyncio.sleep(on.chance.choice((0, 0, 3)))
    await asyncio.to_thread(server.start)


async def _at_commit(on: Nemesis, pattern: Pattern) -> None:
    seat = on.seat()
    trap = seat.database.cut_at(pattern, times=on.chance.randint(1, 6))
    await asyncio.to_thread(trap.wait, 5)
    seat.database.flow()
    on.crowd.history.counts["cuts around COMMIT"] += trap.caught


@fault("postgres link cut before COMMIT")
async def before_commit(on: Nemesis) -> None:
    await _at_commit(on, COMMIT_ASKED)


@fault("postgres link cut after COMMIT")
async def after_commit(on: Nemesis) -> None:
    await _at_commit(on, on.chance.choice((COMMIT_DONE, COMMIT_SENT)))


@fault("postgres link swallowed")
async def swallow_postgres(on: Nemesis) -> None:
    seat = on.seat()
    seat.database.hold(*on.chance.choice(((), ("to_server",), ("to_client",))))
    await asyncio.sleep(on.chance.uniform(1, 6))
    if on.chance.random() < 0.5:
        seat.database.cut()
    seat.database.flow()


# --- clients ------------------------------------------------------------------------------------------------------


@fault("clients' links cut")
async def cut_clients(on: Nemesis) -> None:
    everybody = [*on.crowd.members, *on.crowd.readers]
    for member in on.chance.sample(everybody, on.chance.randint(1, len(everybody))):
        member.cut()
