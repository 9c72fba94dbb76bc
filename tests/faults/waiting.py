"""Sockets on which nothing happens but a ping now and then: after ten minutes they are still open, and still hear.

python -m tests.faults.waiting [--minutes 10]

On both channel layers and both servers, with the redis-py of the lock. Nobody writes meanwhile, so that the layers'
blocking reads run into their limits as often as they can; then one message is written, and everybody must have it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from typing import Any

from tests import services
from tests.faults.site import Postgres, Site, open_site
from tests.processes import ChannelLayer
from tests.wire.backstage import Backstage
from tests.wire.client import Wire

SOCKETS = 5
PING = 15.0
LAYERS: tuple[ChannelLayer, ...] = ("pubsub", "redis")


async def wait_on(site: Site, backstage: Backstage, seconds: float) -> list[str]:
    """What went wrong at one installation with both servers."""
    owner = backstage.person(name="Olga")
    room = backstage.room(owner=owner)
    wrong = []
    async with contextlib.AsyncExitStack() as stack:
        waiting: list[tuple[str, Wire]] = []
        for seat in site.seats:
            for n in range(SOCKETS):
                wire = await stack.enter_async_context(Wire(f"{seat.process.ws_url}/ws/"))
                await wire.hello()
                await wire.join(room)
                waiting.append((f"{seat.process.server} {n}", wire))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(min(PING, max(0.0, until - time.monotonic())))
            for _, wire in waiting:
                if wire.close_code is None:
                    await wire.send("ping")
        async with Wire(f"{site.seats[0].process.ws_url}/ws/") as writer:
            await writer.auth(backstage.ticket(person=owner))
            await writer.say(room, "is anybody there?")
            for name, wire in waiting:
                if wire.close_code is not None:
                    wrong.append(f"{name} was closed with {wire.close_code}")
                    continue
                try:
                    await wire.event("message.sent", text="is anybody there?")
                except (AssertionError, TimeoutError) as error:
                    wrong.append(f"{name} did not hear: {error}")
    for seat in site.seats:
        if "Traceback" in seat.process.log or "channel layer:" in seat.process.log:
            wrong.append(f"{seat.process.server} has complained:\n{seat.process.log[-2000:]}")
    return wrong


async def both(sites: list[tuple[ChannelLayer, Site, Backstage]], seconds: float) -> list[str]:
    found = await asyncio.gather(*(wait_on(site, backstage, seconds) for _, site, backstage in sites))
    return [f"{layer}: {text}" for (layer, _, _), wrong in zip(sites, found, strict=True) for text in wrong]


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.faults.waiting", description=__doc__.split("\n")[0]
    )
    options.add_argument("--minutes", type=float, default=10.0)
    said: Any = options.parse_args(argv)
    with contextlib.ExitStack() as stack:
        postgres, redis = Postgres(), services.RedisServer()
        stack.callback(postgres.stop)
        stack.callback(redis.stop)
        sites = []
        for layer in LAYERS:
            site = stack.enter_context(
                open_site(
                    ("uvicorn", "daphne"),
                    postgres=postgres,
                    redis=redis,
                    database=f"waiting_{layer}",
                    channel_layer=layer,
                )
            )
            backstage = Backstage(site.env)
            stack.callback(backstage.end)
            sites.append((layer, site, backstage))
        wrong = asyncio.run(both(sites, said.minutes * 60))
    for text in wrong:
        print(text)
    count = len(LAYERS) * 2 * SOCKETS
    print(f"{count} sockets, {said.minutes:g} minutes: {'all open, all heard' if not wrong else 'FAILED'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
