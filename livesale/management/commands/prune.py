"""`manage.py prune`: what the serving processes do by themselves, now: remove what is past its time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from livesale.upkeep import caretaker, chores


class Command(BaseCommand):
    help = "Remove now what is kept no longer, and erase who is due. Serving processes do it by themselves, every hour."

    def handle(self, *args: Any, **options: Any) -> None:
        with caretaker.alone() as mine:
            if not mine:
                self.stdout.write("a serving process is at it")
                return
            for name, count in chores.do_all().items():
                self.stdout.write(f"{name}: {count}")
