"""The database: what it acknowledges must be there after a power cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.db import DatabaseError, connections

from livesale.checks.rule import TAG, error, rule


@rule()
def connections_are_not_kept() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if database.get("CONN_MAX_AGE", 0) != 0:
            yield error(
                4,
                f"CONN_MAX_AGE of the database {alias} is not 0: under ASGI every thread would keep a connection.",
                "Leave it at 0; the lane and the readers keep theirs by themselves.",
            )


def _is_sqlite(database: dict[str, Any]) -> bool:
    return str(database.get("ENGINE", "")).endswith("sqlite3")


@rule()
def sqlite_keeps_what_it_acknowledged() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if not _is_sqlite(database):
            continue
        options = database.get("OPTIONS", {})
        said = str(options.get("init_command", "")).upper().replace(" ", "")
        missing = [
            what
            for what, is_there in (
                (
                    "transaction_mode IMMEDIATE",
                    str(options.get("transaction_mode", "")).upper() == "IMMEDIATE",
                ),
                ("journal_mode=WAL", "JOURNAL_MODE=WAL" in said),
                ("synchronous=FULL", "SYNCHRONOUS=FULL" in said or "SYNCHRONOUS=EXTRA" in said),
            )
            if not is_there
        ]
        if missing:
            yield error(
                6,
                f"The SQLite database {alias} is used without {', '.join(missing)}.",
                "An acknowledged order would not survive a power cut, or writers would fail half-way on the lock.",
            )


@rule()
def sqlite_is_for_one_process() -> Iterator[CheckMessage]:
    if settings.SERVER_PROCESSES > 1 and any(map(_is_sqlite, settings.DATABASES.values())):
        yield error(
            7,
            "SQLite has one writer, and SERVER_PROCESSES is more than one.",
            "Set DATABASE_URL to a PostgreSQL database, or SERVER_PROCESSES=1.",
        )


@register(TAG, Tags.database)
def postgres_keeps_what_it_acknowledged(
    app_configs: Any, databases: Sequence[str] | None = None, **options: Any
) -> list[CheckMessage]:
    """Asks the server itself, so it runs with `check --database default`, before migrations, and before serving."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "postgresql":
            continue
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
                fsync, commit = cursor.fetchone()
        except DatabaseError:
            continue  # a database that is away is for /readyz to tell
        off = [name for name, value in (("fsync", fsync), ("synchronous_commit", commit)) if value == "off"]
        if off:
            found.append(
                error(
                    8,
                    f"The PostgreSQL server of {alias} runs with {' and '.join(off)} off.",
                    "An acknowledged order would not survive a crash. Switch it on.",
                )
            )
    return found
