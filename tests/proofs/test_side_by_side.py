"""The version before this one and this one, side by side on one database, while people order.

As an upgrade goes, and is taken back: the older version serves, the database is migrated under it, the new version
starts beside it and takes over from one of its processes; then that one comes back, and the new version ends.

`make side-by-side` runs it; `ARGS="--with v1.2"` names the older version, else it is the commit before the newest
migration. Both run with the packages that are installed now.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.processes import ROOT, LiveProcess, environment, manage
from tests.proofs.buyers import Book, Buyer, Pace
from tests.proofs.stage import Stage
from tests.proofs.test_rolling import Viewer, judge

BUYERS = 18
VIEWERS = 6
# So many answers of each version that serves, before the next step is taken.
ANSWERS = 60


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def older_version() -> str:
    """What is to run beside this version: named, or the commit before the newest migration."""
    if named := os.environ.get("SIDE_BY_SIDE_WITH"):
        return git("rev-parse", f"{named}^{{commit}}")
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", ":(glob)**/migrations/0*.py")
    return git("rev-parse", f"{newest}^")


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The older version's files."""
    tree = tmp_path / "older"
    tree.mkdir()
    packed = subprocess.run(["git", "archive", older_version()], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(tree)], input=packed.stdout, check=True)
    return tree


@pytest.fixture
def three(older: Path, postgres_url: str, redis_server: services.RedisService) -> Iterator[list[LiveProcess]]:
    """Two processes of the older version and one of this; none is started."""
    folder = services.temporary_folder("versions")
    ports = [services.free_port() for _ in range(3)]
    env = environment(
        folder,
        database_url=postgres_url,
        redis_url=redis_server.url,
        origins=[f"http://{services.HOST}:{port}" for port in ports],
        processes=3,
    )
    made = [
        LiveProcess(
            server="uvicorn",
            port=port,
            env=env,
            folder=folder,
            application="livesale.asgi:application",
            server_args=(),
            code=code,
        )
        for port, code in zip(ports, (older, older, ROOT), strict=True)
    ]
    yield made
    for process in made:
        process.kill9()
    services.remove_folder(folder)


async def upgrade_and_back(
    three: list[LiveProcess], market: dict[str, Any], tickets: list[str], present: Stage
) -> tuple[Book, list[Viewer], list[str]]:
    first, second, new = three
    book, over, done = Book(), asyncio.Event(), asyncio.Event()
    # whoever loses the first goes to the new one, whoever loses the new one to the second
    urls = [first.ws_url, new.ws_url, second.ws_url]
    room, offer = market["rooms"][0], market["offers"][0]
    buyers = [Buyer(book, urls, ticket, at=2 * n) for n, ticket in enumerate(tickets)]
    viewers = [Viewer(urls, room, at=2 * n) for n in range(VIEWERS)]
    watching = [asyncio.create_task(viewer.stay(over)) for viewer in viewers]
    await asyncio.gather(*(buyer.start() for buyer in buyers), *(viewer.ready.wait() for viewer in viewers))
    steps: list[str] = []

    async def shop(buyer: Buyer) -> None:
        pace, sent = Pace(5.0, 2), 0
        while not done.is_set():
            await pace.step()
            sent += 1
            if sent % 15 == 0:
                await buyer.do(room, "say", {"text": f"and another {sent}"})
            else:
                await buyer.do(room, "claim.place", {"offer": offer, "qty": 1})
            await buyer.until_open(6)
        await buyer.until_open(0)

    async def answered(what: str, *by: LiveProcess) -> None:
        before = dict(book.answered)
        async with asyncio.timeout(60):
            while any(book.answered[p.ws_url] - before.get(p.ws_url, 0) < ANSWERS for p in by):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        steps.append(what)

    shopping = [asyncio.create_task(shop(buyer)) for buyer in buyers]
    await answered("the older version", first, second)
    await asyncio.to_thread(manage, new.env, "migrate", "--verbosity", "0")
    await answered("the older version on the newer database", first, second)
    await asyncio.to_thread(new.start)
    await asyncio.to_thread(first.sigterm)
    await answered("both side by side", second, new)
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(new.sigterm)
    await answered("the older version once more", second)
    done.set()
    await asyncio.gather(*shopping)
    last = await asyncio.to_thread(lambda: present.head(stream=room))
    async with asyncio.timeout(60):
        while any(viewer.position != last for viewer in viewers):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*watching, *(buyer.stop() for buyer in buyers))
    return book, viewers, steps


@pytest.mark.heavy
@pytest.mark.faults
@pytest.mark.timeout(240)
def test_an_upgrade_under_load_and_the_way_back(older: Path, three: list[LiveProcess]) -> None:
    env = three[0].env
    manage(env, "migrate", "--verbosity", "0", code=older)
    if "SIDE_BY_SIDE_WITH" not in os.environ:
        assert "No planned" not in manage(env, "migrate", "--plan"), (
            "what has just run was not an older version"
        )
    for process in three[:2]:
        process.spawn()
    for process in three[:2]:
        process.wait_ready()
    with Stage(env, code=older) as before, Stage(env) as present:
        market = before.open_market(people=BUYERS, stock=100_000)
        tickets = before.tickets(people=market["people"])
        book, viewers, steps = asyncio.run(upgrade_and_back(three, market, tickets, present))
        room = market["rooms"][0]
        ledger, last = present.ledger(pool=market["pool"], limited=[]), present.head(stream=room)
        kept, drifts = present.receipts(), present.drifts()
    print(
        f"\nbeside {older_version()[:10]}: {len(book.acks)} answers, {list(book.answered.values())}, {steps}"
    )
    judge(book, kept, ledger, drifts)
    for viewer in viewers:
        assert viewer.missed_nothing(last)
