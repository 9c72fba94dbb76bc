"""What a batch knows of buyers beside their standing: who agreed to be named. And one object of terms per offer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from chat.log.batch import Batch, Part
from chat.log.store import any_of, fetch
from commerce.orders.types import ClaimTerms
from livesale.accounts.models import User
from livesale.sales.models import Offer, Sale


class Consents(Part):
    rank: ClassVar[int] = 15

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._wanted: set[UUID] = set()
        self._named: dict[UUID, str] = {}
        self._terms: dict[tuple[Any, ...], ClaimTerms] = {}

    def want(self, person_id: UUID) -> None:
        self._wanted.add(person_id)

    def load(self, now: datetime) -> None:
        if self._wanted:
            condition, ids = any_of("id", self._wanted)
            table = User._meta.db_table
            sql = f"SELECT id, name FROM {table} WHERE {condition} AND show_name_in_summaries"  # noqa: S608
            self._named = dict(fetch(sql, [ids], "us"))

    def shown_name(self, person_id: UUID) -> str:
        """The name the room may hear, or ''."""
        return self._named.get(person_id, "")

    def terms(self, offer: Offer, sale: Sale, make: Callable[[Any, Offer], ClaimTerms]) -> ClaimTerms:
        """The offer's terms as of now, shared by all its claims of this batch until the host changes something."""
        key = (
            offer.id, offer.pool_generation, offer.price_now, offer.limit_now, offer.waitlist_now,
            offer.hold_seconds, sale.hold_seconds, sale.max_unpaid_units, sale.extension_seconds,
        )  # fmt: skip
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = make(sale, offer)
        return found
