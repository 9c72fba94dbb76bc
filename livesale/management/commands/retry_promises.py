"""`manage.py retry_promises NAME…`: take up again what was put aside after its last attempt."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Count

from chat.log import pump
from chat.log.models import Outbox


class Command(BaseCommand):
    help = (
        "Promised work that was put aside after its last attempt is due again, and the serving processes take it. "
        "NAME: what kinds of it, such as notice.mail. Without a name: what there is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"]:
            self.stdout.write(f"{pump.retry_failed(options['name'])} are due again.")
            return
        found = (
            Outbox.objects.filter(failed=True).values_list("name").annotate(n=Count("id")).order_by("name")
        )
        for name, count in found:
            self.stdout.write(f"{count} {name}")
        if not found:
            self.stdout.write("Nothing was put aside.")
