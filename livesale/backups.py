"""Backups of the database that are consistent while people go on ordering, and their way back.

Never copy the file of a running SQLite database: what is in its write-ahead log would be missing or torn.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient
from django.db.backends.sqlite3._functions import register  # type: ignore[import-untyped]

from chat.log import streams
from livesale.personal import erasure, ledger

# A restore may have been cut short when the tables were there already: what is left of it then.
CUT_SHORT = "If a restore into it was cut short, `migrate` and then `restored` finish that."


class Failed(Exception):
    """A sentence for the operator."""


def take(path: Path) -> None:
    """Write a backup of the database to `path`, which appears only when it is whole. Raises `Failed`."""
    if path.exists():
        raise Failed(f"{path} exists; a backup replaces nothing.")
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    # it holds what people wrote and where they live
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        if connection.vendor == "postgresql":
            _postgres("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        else:
            _copy_sqlite(Path(str(connection.settings_dict["NAME"])), partial)
        _sync(partial)
        partial.rename(path)
        _sync(path.parent)
        # whoever puts this back has at hand who was erased meanwhile
        ledger.copy_to(path.parent, erasure.known())
    finally:
        partial.unlink(missing_ok=True)


def put_back(path: Path) -> tuple[int, int]:
    """Fill an empty database from a backup, bring it to today's tables, raise the epochs, erase again who was erased.

    Returns how many streams were told and how many people were erased.

    Raises `Failed`, also where the database holds anything already.
    """
    if not path.is_file():
        raise Failed(f"There is no backup at {path}.")
    beside = path.parent / ledger.NAME
    # a list that cannot be read or added to would stop us when the database is filled
    ledger.must_be_ours(ledger.path())
    ledger.read([ledger.path(), beside])
    if connection.vendor == "postgresql":
        if connection.introspection.table_names():
            raise Failed(
                "The database of DATABASE_URL is not empty. Restore into a new one, then switch over. "
                + CUT_SHORT
            )
        connection.close()
        _postgres("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", str(path))
    else:
        target = Path(str(connection.settings_dict["NAME"]))
        if target.exists() and connection.introspection.table_names():
            raise Failed(f"{target} is not empty. Restore into a new place, then switch over. {CUT_SHORT}")
        connection.close()
        for end in ("", "-wal", "-shm"):
            target.with_name(target.name + end).unlink(missing_ok=True)
        try:
            _copy_sqlite(path, target)
        except Failed:
            # a damaged copy must not pass for a restore that was cut short
            target.unlink(missing_ok=True)
            raise
        _sync(target)
    call_command("migrate", verbosity=0, interactive=False)
    return streams.new_epoch(), erasure.apply_again(beside)


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's own backup, in one step: one moment of the source, however many write meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True)) as read,
            closing(sqlite3.connect(target)) as written,
        ):
            # our tables' own rules are checked too, and some are written with functions of Django's
            register(written)
            read.backup(written)
            (verdict,) = written.execute("PRAGMA integrity_check").fetchone()
            # the copy is one file: nothing of it waits in a log beside it
            written.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise Failed(f"SQLite: {error}") from None
    if verdict != "ok":
        raise Failed(f"SQLite found the copy damaged: {verdict}")


def _postgres(program: str, *words: str) -> None:
    """Run one of PostgreSQL's programs on our database; the password travels in its environment."""
    found = shutil.which(program)
    if found is None:
        raise Failed(f"{program} is not installed (Debian: postgresql-client).")
    (_, *target, name), env = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    _fits_the_server(found, target)
    done = subprocess.run(  # noqa: S603 - our own words and settings
        [found, *target, f"--dbname={name}", *words],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{program} ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _fits_the_server(program: str, target: list[str]) -> None:
    """Raise `Failed` unless the program is of the server's major version.

    An older one refuses the server. A newer one writes what the server's own programs cannot read, and says while it
    puts back what that server does not know: such a backup would fail on the day that it is needed.
    """
    # Debian's wrapper chooses a version by where the server is, so it is asked with the same words
    done = subprocess.run(  # noqa: S603 - our own words and settings
        [program, "--version", *target], capture_output=True, text=True, check=False
    )
    said = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        server = int(cursor.fetchone()[0]) // 10_000
    connection.close()
    if said is None or int(said[1]) != server:
        name = Path(program).name
        raise Failed(
            f"{program} is of PostgreSQL {said[1] if said else '?'} and the server of {server}: {name} must be of the "
            f"server's version. Install postgresql-client-{server} and set PATH so that its {name} comes first "
            f"(Debian: /usr/lib/postgresql/{server}/bin)."
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
