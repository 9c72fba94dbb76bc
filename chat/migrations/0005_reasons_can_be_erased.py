"""The audit stays append-only but for one thing: the words about a person can be emptied when that person is erased."""

from __future__ import annotations

from typing import Any

from django.db import migrations

POSTGRES = """
    CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.reason = '' AND to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit_entry is append-only';
    END $$
"""
SQLITE = """
    CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
    WHEN NOT (
        NEW.reason = '' AND NEW.id IS OLD.id AND NEW.tenant_id IS OLD.tenant_id AND NEW.stream_id IS OLD.stream_id
        AND NEW.actor_id IS OLD.actor_id AND NEW.action IS OLD.action AND NEW.target_id IS OLD.target_id
        AND NEW.details IS OLD.details AND NEW.at IS OLD.at
    )
    BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END
"""
BACK_POSTGRES = """
    CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit_entry is append-only';
    END $$
"""
BACK_SQLITE = """
    CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END
"""


def _become(editor: Any, postgres: str, sqlite: str) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(postgres)
    else:
        editor.execute("DROP TRIGGER audit_entry_no_update")
        editor.execute(sqlite)


def forwards(apps: Any, editor: Any) -> None:
    _become(editor, POSTGRES, SQLITE)


def backwards(apps: Any, editor: Any) -> None:
    _become(editor, BACK_POSTGRES, BACK_SQLITE)


class Migration(migrations.Migration):
    dependencies = [("chat", "0004_rules_of_writing")]

    beside_older = "an older version never changes an entry, so it meets nothing new"

    operations = [migrations.RunPython(forwards, backwards)]
