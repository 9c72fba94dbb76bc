"""Fixtures for the whole suite. The real servers are in `tests/services`, ours in `tests/processes.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_django
from hypothesis import HealthCheck, settings

from tests import processes, services

# How long one example takes says something about the machine only. The rest is as it was before: CI has its own.
settings.register_profile("livesale", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("livesale")

_started: list[services.RedisService | services.PostgresService] = []


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.RedisService]:
    """A real Redis for the session: .url .kill() .restart() .pause() .resume() .flushall()"""
    server = services.start_redis()
    _started.append(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[services.PostgresService]:
    """A real PostgreSQL for the session: .url(name) .create_database(name) .kill() .start() .restart()"""
    server = services.start_postgres()
    _started.append(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def durable_postgres_server() -> Iterator[services.PostgresService]:
    """The same with fsync on."""
    server = services.start_postgres(durable=True)
    _started.append(server)
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: services.PostgresService, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database for this test alone."""
    name = f"t{abs(hash(request.node.nodeid)):x}"
    yield postgres_server.create_database(name)
    postgres_server.heal()
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return services.find_chromium()


@pytest.fixture
def live_processes() -> Iterator[Callable[..., list[processes.LiveProcess]]]:
    """`live_processes(2, server="uvicorn", redis_url=…)` starts processes that are stopped after the test."""
    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> list[processes.LiveProcess]:
            return stack.enter_context(processes.live_processes(*args, **options))

        yield start


@pytest.fixture(autouse=True, scope="session")
def _passwords_that_cost_nothing() -> Iterator[None]:
    """A hash that is worth having takes a third of a second, and every world has people. Live servers keep theirs."""
    from django.test import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def _heal_servers() -> Iterator[None]:
    """A test may kill the servers that others share; the next one finds them running (not empty: use flushall)."""
    yield
    for server in _started:
        server.heal()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite tests use a file, as an installation does: threads with connections of their own lock as in real life."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> None:
    """On SQLite the trigger that keeps the audit also keeps Django from emptying tables between tests."""
    from django.db import connection

    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER audit_entry_no_delete")


@pytest.fixture
def audit_guarded(db: None) -> None:
    """The trigger again, as the migration makes it, for one test inside its transaction."""
    from django.db import connection

    if connection.vendor == "sqlite":
        guards = importlib.import_module("chat.migrations.0002_guards")
        (statement,) = [sql for sql in guards.SQLITE if "audit_entry_no_delete" in sql]
        with connection.cursor() as cursor:
            cursor.execute(statement)
