"""PostgreSQL only: room for in-place updates on the rows that change most, and an early vacuum for them."""

from __future__ import annotations

from typing import Any

from django.db import migrations

TUNING = {
    "commerce_pool": "fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500",
    "commerce_shopcounter": "fillfactor = 30",
    "commerce_line": "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02",
    "commerce_waiting": "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02",
    "commerce_order": "fillfactor = 85",
}


def tune(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, storage in TUNING.items():
            schema_editor.execute(f"ALTER TABLE {table} SET ({storage})")


def untune(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, storage in TUNING.items():
            names = ", ".join(part.split("=")[0].strip() for part in storage.split(", "))
            schema_editor.execute(f"ALTER TABLE {table} RESET ({names})")


class Migration(migrations.Migration):
    dependencies = [("commerce", "0001_initial")]

    operations = [migrations.RunPython(tune, untune)]
