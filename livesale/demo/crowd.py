"""The demo's crowd: a process of its own that uses the server as everybody does, over WebSockets and HTTP.

    python -m livesale.demo.crowd --url http://127.0.0.1:8000 --room ID --shop ID --crowd 20 [--pace 1] [--autopilot]

It reads who the buyers are once; the rest it learns from its sockets. It ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

STATUS_EVERY = 60.0
# When the demo is gone, sockets have this long to close, in seconds.
LAST_WORDS = 3.0


def _setup() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "livesale.settings")
    django.setup()


def _token_of(user: Any) -> Callable[[], str]:
    from chat.realtime.identity import Identity
    from livesale.accounts.identity import ProjectIdentities

    identity = Identity(user.id, user.name, user.auth_version, "", user.language)
    return lambda: ProjectIdentities().resume_token(identity)


def _tell(line: str) -> None:
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


async def _status(everyone: list[Any], counts: Any) -> None:
    while True:
        await asyncio.sleep(STATUS_EVERY)
        online = sum(b.online for b in everyone)
        _tell(
            f"crowd: {online} online · {counts['messages']} messages · {counts['claims']} claims "
            f"({counts['units']} units, {counts['waiting']} waiting) · {counts['paid']} orders paid"
        )


async def run(options: argparse.Namespace) -> None:
    """The crowd's life, until it is cancelled."""
    from asgiref.sync import sync_to_async

    found = await sync_to_async(_read)(options)
    crowd, people, host = found
    from livesale.demo.autopilot import Autopilot
    from livesale.demo.buyers import Buyer
    from livesale.demo.people import someone

    async with asyncio.TaskGroup() as group:
        everyone: list[Any] = []
        if options.autopilot and host is not None:
            pilot = Autopilot(crowd, _token_of(host), {str(p.id) for p in people}, _tell)
            group.create_task(pilot.run())
        if not options.quiet:
            group.create_task(_status(everyone, crowd.counts))
        for number, user in enumerate(people):
            buyer = Buyer(crowd, someone(number), _token_of(user), number)
            everyone.append(buyer)
            group.create_task(buyer.run())
            await asyncio.sleep(0.12 / options.pace)


def _read(options: argparse.Namespace) -> Any:
    from django.db import connection

    from commerce.shops.models import Shop
    from livesale.accounts.models import User
    from livesale.backoffice.selectors import shop_card
    from livesale.demo.buyers import Crowd
    from livesale.demo.people import CROWD_DOMAIN, crowd_address

    wanted = {crowd_address(n): n for n in range(options.crowd)}
    people = [u for u in User.objects.filter(email__endswith=f"@{CROWD_DOMAIN}") if u.email in wanted]
    shop = UUID(options.shop)
    host = User.objects.filter(id__in=Shop.objects.filter(id=shop).values("owner_id")).first()
    card = shop_card(shop)
    connection.close()
    deliveries = [d for d in card["delivery"] if d["label"]] if card else []
    crowd = Crowd(options.url.rstrip("/"), options.room, options.shop, options.pace, deliveries)
    return crowd, sorted(people, key=lambda u: wanted[u.email]), host


def _end_with_parent(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Whoever started us holds our standard input open; when it closes, they are gone, however they went."""

    def wait() -> None:
        # not by sys.stdin, whose lock an interpreter that ends would find taken
        while os.read(0, 1024):
            pass
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        time.sleep(LAST_WORDS)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


async def _main(options: argparse.Namespace) -> None:
    task = asyncio.ensure_future(run(options))
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows ends us without asking
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    _end_with_parent(loop, task)
    with suppress(asyncio.CancelledError):
        await task


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo's crowd.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--room", required=True)
    parser.add_argument("--shop", required=True)
    parser.add_argument("--crowd", type=int, default=20)
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--autopilot", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    # Ctrl-C goes to the whole terminal; the demo ends us in its own order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _setup()
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
