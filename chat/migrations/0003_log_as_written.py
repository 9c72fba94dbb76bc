"""PostgreSQL: what the log holds is kept as it was written (`json`), not taken apart (`jsonb`)."""

from __future__ import annotations

from typing import Any

from django.db import migrations

import chat.log.models

COLUMNS = (("event", "body"), ("receipt", "answer"))


def _become(editor: Any, kind: str) -> None:
    if editor.connection.vendor == "postgresql":
        for table, column in COLUMNS:
            editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {column}::{kind}")


def forwards(apps: Any, editor: Any) -> None:
    _become(editor, "json")


def backwards(apps: Any, editor: Any) -> None:
    _become(editor, "jsonb")


class Migration(migrations.Migration):
    dependencies = [("chat", "0002_guards")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards)],
            state_operations=[
                migrations.AlterField("event", "body", chat.log.models.WrittenJSON()),
                migrations.AlterField("receipt", "answer", chat.log.models.WrittenJSON()),
            ],
        )
    ]
