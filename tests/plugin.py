"""Chooses the database before Django reads its settings (pytest-django does that before any conftest is loaded).

`pytest` runs on SQLite; `pytest --database=postgres` starts a PostgreSQL of its own (or uses TEST_DATABASE_URL). What
a developer's shell says about DATABASE_URL or REDIS_URL is put aside: a test run must not touch a real installation.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

from tests import services

_CHOSEN = "LIVESALE_TEST_DATABASE_CHOSEN"  # inherited by xdist's workers, which must not choose again


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgres"],
        default="sqlite",
        help="the database engine of Django's test database",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    if _CHOSEN not in os.environ:
        options = early_config.known_args_namespace
        collecting_only = options.help or options.version or getattr(options, "collectonly", False)
        _choose("sqlite" if collecting_only else options.database, early_config)
    return (yield)


def _choose(engine: str, config: pytest.Config) -> None:
    os.environ[_CHOSEN] = engine
    for name in ("DATABASE_URL", "REDIS_URL", "CHANNEL_LAYER"):
        os.environ.pop(name, None)
    data = tempfile.mkdtemp(prefix="livesale-test-")
    config.add_cleanup(lambda: shutil.rmtree(data, ignore_errors=True))
    os.environ["LIVESALE_DATA"] = data
    if engine == "postgres":
        server = services.start_postgres()
        config.add_cleanup(server.stop)
        os.environ["DATABASE_URL"] = server.url("postgres")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other engine: `@pytest.mark.only("postgres")`, `@pytest.mark.only("sqlite")`."""
    engine = os.environ[_CHOSEN]
    foreign = [
        item for item in items if (mark := item.get_closest_marker("only")) and engine not in mark.args
    ]
    if foreign:
        config.hook.pytest_deselected(items=foreign)
        items[:] = [item for item in items if item not in set(foreign)]


def pytest_report_header() -> str:
    return f"database: {os.environ[_CHOSEN]}"
