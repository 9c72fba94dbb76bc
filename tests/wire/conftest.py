"""Houses: one installation each, its processes running, with people and a room in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests import services
from tests.processes import LiveProcess, environment, live_processes, migrate_like_before
from tests.services import PostgresService, RedisService
from tests.wire.backstage import Backstage
from tests.wire.client import Wire


@dataclass
class House:
    first: LiveProcess
    # where there is one process only, the same as `first`
    second: LiveProcess
    backstage: Backstage

    def wire(self, process: LiveProcess | None = None, query: str = "", **options: Any) -> Wire:
        """A socket that is not a browser's."""
        return Wire(f"{(process or self.first).ws_url}/ws/{query}", **options)

    def page(self, session: str = "", process: LiveProcess | None = None, origin: str = "") -> Wire:
        """A socket of a page in a browser, with its session cookie."""
        process = process or self.first
        headers = {"Cookie": f"sessionid={session}"} if session else {}
        return Wire(f"{process.ws_url}/ws/", origin=origin or process.origin, additional_headers=headers)

    @asynccontextmanager
    async def enter(
        self, person: str, process: LiveProcess | None = None, **options: Any
    ) -> AsyncIterator[Wire]:
        """An open socket of a signed-in person."""
        async with self.wire(process, **options) as wire:
            await wire.auth(self.backstage.ticket(person=person))
            yield wire


def migrated(database_url: str) -> str:
    """The same address, with our tables behind it."""
    folder = services.temporary_folder("migrate")
    migrate_like_before(environment(folder, database_url=database_url))
    services.remove_folder(folder)
    return database_url


@contextmanager
def open_house(count: int = 1, **options: Any) -> Iterator[House]:
    with live_processes(count, **options) as processes:
        backstage = Backstage(processes[0].env)
        try:
            yield House(processes[0], processes[-1], backstage)
        finally:
            backstage.end()


HOUSES = [
    "daphne, SQLite, one process",
    "uvicorn, PostgreSQL and Redis, two",
    "uvicorn, SQLite, plain ASGI",
]


@pytest.fixture(scope="package", params=HOUSES)
def house(
    request: pytest.FixtureRequest, redis_server: RedisService, durable_postgres_server: PostgresService
) -> Iterator[House]:
    """The ends of what is supported, and each way that frames leave by: the protocol is the same on all."""
    if "SQLite" in request.param:
        server, env = (
            request.param.split(",")[0],
            {"FRAME_WRITER": "asgi"} if "plain" in request.param else {},
        )
        with open_house(1, server=server, env=env) as opened:
            yield opened
    else:
        url = durable_postgres_server.create_database("wire_uvicorn")
        with open_house(
            2, server="uvicorn", database_url=url, redis_url=redis_server.url, channel_layer="redis"
        ) as opened:
            yield opened
        durable_postgres_server.drop_database("wire_uvicorn")


@pytest.fixture
def owner(house: House) -> str:
    return str(house.backstage.person(name="Olga"))


@pytest.fixture
def guest(house: House) -> str:
    return str(house.backstage.person(name="Gus"))


@pytest.fixture
def room(house: House, owner: str) -> str:
    return str(house.backstage.room(owner=owner))
