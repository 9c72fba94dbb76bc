"""`manage.py verify`: recompute everything from the ledgers and name each drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.log import verify as log
from chat.log.reading import consistent
from commerce.orders import verify as orders
from commerce.payments import verify as payments
from commerce.stock import verify as stock
from livesale.claims import verify as claims

SUBJECTS: dict[str, Callable[[], Iterable[Any]]] = {
    "sequence and receipts": log.drifts,
    "stock": stock.drifts,
    "holds and baskets": orders.drifts,
    "payments": payments.drifts,
    "claims that were answered": claims.drifts,
}


class Command(BaseCommand):
    help = "Recompute stock, holds, baskets, payments, receipts and sequence from the ledgers; exit 1 on any drift."

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        with consistent():
            for subject, drifts in SUBJECTS.items():
                found = list(drifts())
                count += len(found)
                self.stdout.write(f"{subject}: {'no drift' if not found else f'{len(found)} drifts'}")
                for d in found:
                    self.stdout.write(f"  {d.kind} {d.subject}: expected {d.expected}, found {d.found}")
        if count:
            raise CommandError(f"{count} drifts found")
