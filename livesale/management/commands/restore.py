"""`manage.py restore FILE`: a backup into the empty database that DATABASE_URL names."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from livesale import backups


class Command(BaseCommand):
    help = (
        "Fill an empty database from FILE, migrate it and raise the epochs, so that every client begins anew."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count, erased = backups.put_back(options["file"])
        except (backups.Failed, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"restored; the epoch of {count} streams was raised, {erased} people were erased again. "
            "Now run `manage.py verify`."
        )
