"""`manage.py erase_person WHO`: erase a person now, without days to think again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from commerce.shops.models import Shop
from livesale.accounts.models import User
from livesale.personal import erasure


class Command(BaseCommand):
    help = (
        "Erase a person, at once and for good: texts, name, addresses, sign-ins; orders keep amounts and dates, and "
        "for KEEP_CONTACTS_DAYS whom they went to. WHO: their address or id."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("who")
        parser.add_argument(
            "--even-owner",
            action="store_true",
            help="also somebody who owns a shop, which then belongs to nobody",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person = User.objects.get_by_natural_key(options["who"])
        except User.DoesNotExist:
            raise CommandError("There is no such person.") from None
        shops = list(Shop.objects.filter(owner=person).values_list("name", flat=True))
        if shops and not options["even_owner"]:
            raise CommandError(f"They own {', '.join(shops)}; --even-owner erases them all the same.")
        erasure.erase(person.id)
        self.stdout.write(
            f"{person.id} is erased. A serving process looks once more in a minute; their sockets close by then."
        )
