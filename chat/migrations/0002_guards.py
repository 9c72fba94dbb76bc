"""What the models cannot say: the audit is append-only, hot rows have room to change in place."""

from __future__ import annotations

from typing import Any

from django.db import migrations

POSTGRES = [
    """
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit_entry is append-only';
    END $$
    """,
    """
    CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()
    """,
    "ALTER TABLE stream_head SET (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)",
    "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)",
]
SQLITE = [
    """
    CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END
    """,
    """
    CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END
    """,
]
BACK_POSTGRES = [
    "DROP TRIGGER audit_entry_append_only ON audit_entry",
    "DROP FUNCTION audit_is_append_only()",
]
BACK_SQLITE = ["DROP TRIGGER audit_entry_no_update", "DROP TRIGGER audit_entry_no_delete"]


def _run(editor: Any, postgres: list[str], sqlite: list[str]) -> None:
    for statement in postgres if editor.connection.vendor == "postgresql" else sqlite:
        editor.execute(statement)


def forwards(apps: Any, editor: Any) -> None:
    _run(editor, POSTGRES, SQLITE)


def backwards(apps: Any, editor: Any) -> None:
    _run(editor, BACK_POSTGRES, BACK_SQLITE)


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
