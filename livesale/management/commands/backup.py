"""`manage.py backup FILE`: the database at one moment, while people go on ordering."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from livesale import backups


class Command(BaseCommand):
    help = "Write a consistent backup of the database to FILE; the processes may go on serving."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            backups.take(path)
        except (backups.Failed, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{path}: {path.stat().st_size} bytes. Copy the folder media/ after it, not before."
        )
