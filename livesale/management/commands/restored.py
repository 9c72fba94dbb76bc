"""`manage.py restored`: told after a database came back by other means than `manage.py restore`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from chat.log import streams


class Command(BaseCommand):
    help = (
        "After restoring the database with your own tools (point in time, a snapshot of the disk): raise the epochs, "
        "so that no client goes on from numbers that mean something else now. Before any process serves."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"the epoch of {streams.new_epoch()} streams was raised")
