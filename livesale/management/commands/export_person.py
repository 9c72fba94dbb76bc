"""`manage.py export_person WHO FILE`: everything that is a person's, as one JSON file."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from livesale.accounts.models import User
from livesale.personal import export


class Command(BaseCommand):
    help = "Write everything that is a person's to FILE, a JSON document. WHO: their address or id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("who")
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            person = User.objects.get_by_natural_key(options["who"])
        except User.DoesNotExist:
            raise CommandError("There is no such person.") from None
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError as error:
            raise CommandError(str(error)) from None
        with os.fdopen(handle, "wb") as out:
            export.write(person.id, out)
        self.stdout.write(f"{path}: {path.stat().st_size} bytes")
