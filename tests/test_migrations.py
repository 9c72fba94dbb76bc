"""Two versions run side by side during an upgrade: a migration only adds, or says why the older one does not mind."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

OURS = {"chat", "commerce", "livesale", "accounts"}
# What the first release begins with: no older version has ever run on less.
FIRST_RELEASE = {
    ("accounts", "0001_initial"),
    ("chat", "0001_initial"),
    ("chat", "0002_guards"),
    ("chat", "0003_log_as_written"),
    ("commerce", "0001_initial"),
    ("commerce", "0002_tuning"),
    ("commerce", "0003_buyer_first"),
    ("livesale", "0001_initial"),
}
# The attribute of a `Migration` class that says in a sentence why the older version goes on meanwhile.
MARK = "beside_older"
HINT = (
    f"The version before this one is still serving while it runs. Add first, remove one release later; or say why it "
    f'is harmless: `{MARK} = "nothing reads that column since 1.3"` in the class.'
)


def complaint(operation: Any) -> str:
    """Why the version before might fail beside this operation; '' when it cannot."""
    name = type(operation).__name__
    match operation:
        case migrations.CreateModel() | migrations.AlterModelOptions() | migrations.AlterModelManagers():
            return ""
        case migrations.AddField(field=field):
            given = field.null or field.db_default is not NOT_PROVIDED or field.many_to_many
            return "" if given else f"{name} {operation.name}: the older version's rows have no value for it"
        case migrations.AddIndex():
            # PostgreSQL: django.contrib.postgres' AddIndexConcurrently lets writers go on
            return f"{name}: writers of the table wait until it is built"
        case migrations.SeparateDatabaseAndState():
            return next(filter(None, map(complaint, operation.database_operations)), "")
        case _ if name == "AddIndexConcurrently":
            return ""
    return f"{name} {getattr(operation, 'name', '')}".strip()


def complaints(migration: Any) -> list[str]:
    if getattr(migration, MARK, ""):
        return []
    return [said for said in map(complaint, migration.operations) if said]


def test_new_migrations_only_add() -> None:
    found = {
        key: complaints(migration)
        for key, migration in MigrationLoader(None).disk_migrations.items()
        if key[0] in OURS and key not in FIRST_RELEASE
    }
    assert {key: said for key, said in found.items() if said} == {}, HINT


def test_the_first_release_is_there() -> None:
    assert set(MigrationLoader(None).disk_migrations) >= FIRST_RELEASE


NULL = models.TextField(null=True)


@pytest.mark.parametrize(
    ("operation", "refused"),
    [
        (migrations.CreateModel("Thing", fields=[]), False),
        (migrations.AddField("room", "note", NULL), False),
        (migrations.AddField("room", "note", models.IntegerField(db_default=0)), False),
        (migrations.AddField("room", "note", models.IntegerField(default=0)), True),
        (migrations.RemoveField("room", "name"), True),
        (migrations.RenameField("room", "name", "title"), True),
        (migrations.AlterField("room", "name", NULL), True),
        (migrations.DeleteModel("Room"), True),
        (migrations.RenameModel("Room", "Hall"), True),
        (migrations.AddConstraint("room", models.UniqueConstraint(fields=["name"], name="x")), True),
        (migrations.AddIndex("room", models.Index(fields=["name"], name="x")), True),
        (migrations.RunSQL("SELECT 1"), True),
        (migrations.RunPython(migrations.RunPython.noop), True),
        (migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Room")]), False),
        (migrations.SeparateDatabaseAndState([migrations.DeleteModel("Room")]), True),
    ],
)
def test_what_is_refused_unless_marked(operation: Any, refused: bool) -> None:
    migration = migrations.Migration("0099_example", "chat")
    migration.operations = [operation]
    assert bool(complaints(migration)) == refused
    setattr(migration, MARK, "nothing reads it")
    assert complaints(migration) == []


@pytest.mark.database
def test_everything_is_applied_and_nothing_is_missing(db: None) -> None:
    loader = MigrationLoader(connection)
    assert {key for key in loader.disk_migrations if key[0] in OURS} <= set(loader.applied_migrations)
