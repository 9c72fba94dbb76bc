"""Several processes of one installation with a fault proxy before the database and the Redis of each."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests import services
from tests.faults.proxy import Proxy
from tests.processes import ChannelLayer, LiveProcess, Server, environment, migrate_like_before

METRICS_TOKEN = "for-tests-only-metrics"
PROJECT = "livesale.asgi:application"
UNGUARDED = "tests.faults.unguarded_app:application"
FAKETIME = "libfaketimeMT.so.1"


class Postgres(services.PostgresServer):
    """A server of our own with fsync on, which may be ended as `pg_ctl -m immediate` ends it."""

    def __init__(self) -> None:
        super().__init__(durable=True)

    def end_at_once(self) -> None:
        if self._program:
            self._program.end(signal.SIGQUIT, 10)


def through(url: str, proxy: Proxy) -> str:
    """The same address behind that proxy."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}{services.HOST}:{proxy.port}").geturl()


def before(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Proxy(parts.hostname, parts.port)


def skewed(by: str) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong by so much (`+61s`, `-2s`, `+1d`).

    The monotonic clock is right, as it is on a machine with a wrong time.
    """
    for folder in Path("/usr/lib").glob("*/faketime"):
        if (folder / FAKETIME).exists():
            return {
                "LD_PRELOAD": str(folder / FAKETIME),
                "FAKETIME": by,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_RESET": "1",
            }
    raise services.MissingPart("libfaketime is not installed (`make test` does that)")


@dataclass
class Seat:
    """One process, and its own ways to the database and to Redis."""

    process: LiveProcess
    database: Proxy
    redis: Proxy
    usual: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.process.server}:{self.process.port}"

    def skew(self, by: str | None) -> None:
        """From its next start its clock is wrong by so much; None: right."""
        self.process.env = self.usual | (skewed(by) if by else {})


@dataclass
class Site:
    seats: list[Seat]
    # the environment of somebody beside them, who goes past the proxies
    env: dict[str, str]
    postgres: services.PostgresService
    redis: services.RedisService
    log_folder: Path = field(default_factory=Path)

    @property
    def processes(self) -> list[LiveProcess]:
        return [seat.process for seat in self.seats]

    @property
    def database_url(self) -> str:
        return self.env["DATABASE_URL"]


@contextmanager
def open_site(
    servers: Sequence[Server] = ("uvicorn", "daphne", "uvicorn"),
    *,
    postgres: services.PostgresService,
    redis: services.RedisService,
    database: str = "site",
    channel_layer: ChannelLayer = "pubsub",
    application: str = PROJECT,
    env: Mapping[str, str] | None = None,
) -> Iterator[Site]:
    folder = services.temporary_folder("site")
    ports: list[int] = []
    while len(ports) < len(servers):
        if (port := services.free_port()) not in ports:
            ports.append(port)
    made = environment(
        folder,
        database_url=postgres.create_database(database),
        redis_url=redis.url,
        channel_layer=channel_layer,
        origins=[f"http://{services.HOST}:{port}" for port in ports],
        processes=len(servers),
        env={"METRICS_TOKEN": METRICS_TOKEN, "PYTHONFAULTHANDLER": "1", **(env or {})},
    )
    with ExitStack() as stack:
        stack.callback(services.remove_folder, folder)
        stack.callback(postgres.drop_database, database)
        stack.callback(postgres.heal)
        migrate_like_before(made)
        seats: list[Seat] = []
        for server, port in zip(servers, ports, strict=True):
            to_database = stack.enter_context(before(made["DATABASE_URL"]))
            to_redis = stack.enter_context(before(redis.url))
            usual = made | {
                "DATABASE_URL": through(made["DATABASE_URL"], to_database),
                "REDIS_URL": through(redis.url, to_redis),
            }
            process = LiveProcess(
                server=server,
                port=port,
                env=usual,
                folder=folder,
                application=application,
                server_args=("-v", "0") if server == "daphne" else (),
            )
            stack.callback(process.kill9)
            process.spawn()
            seats.append(Seat(process, to_database, to_redis, usual))
        for seat in seats:
            seat.process.wait_ready()
        yield Site(seats, made, postgres, redis, folder)
