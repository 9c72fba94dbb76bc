"""`manage.py restored`: told after a database came back by other means than `manage.py restore`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from chat.log import streams
from livesale.personal import erasure


class Command(BaseCommand):
    help = (
        "After restoring the database with your own tools (point in time, a snapshot of the disk): raise the epochs, "
        "so that no client goes on from numbers that mean something else now, and erase again who was erased since. "
        "Before any process serves."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--erasures",
            type=Path,
            nargs="*",
            default=[],
            help="more lists of erasures than ERASURES_FILE: of other machines, from beside a backup",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"the epoch of {streams.new_epoch()} streams was raised")
        self.stdout.write(f"{erasure.apply_again(*options['erasures'])} people were erased again")
