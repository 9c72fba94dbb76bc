"""What a batch knows of buyers beside their standing: who agreed to be named. And one object of terms per offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from chat.log.batch import Batch, Part
from chat.log.store import any_of, ask
from commerce.orders.types import ClaimTerms
from livesale.accounts.models import User
from livesale.sales.models import Offer


class Consents(Part):
    rank: ClassVar[int] = 15

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._wanted: set[UUID] = set()
        self._named: dict[UUID, str] = {}
        # by the identity of the offer, which the sales of the batch keep
        self._terms: dict[tuple[int, int], ClaimTerms] = {}

    def want(self, person_id: UUID) -> None:
        self._wanted.add(person_id)

    def load(self, now: datetime) -> Iterator[None]:
        if self._wanted:
            condition, ids = any_of("id", self._wanted)
            table = User._meta.db_table
            sql = f"SELECT id, name FROM {table} WHERE {condition} AND show_name_in_summaries"  # noqa: S608 - names of ours, values are parameters
            named = ask(sql, [ids], "us")
            yield
            self._named = dict(named())

    def shown_name(self, person_id: UUID) -> str:
        """The name the room may hear, or ''."""
        return self._named.get(person_id, "")

    def terms(self, offer: Offer, changes: int, make: Callable[[], ClaimTerms]) -> ClaimTerms:
        """The offer's terms as of now, shared by all its claims of this batch until the host changes something.

        `changes`: how often the sales of this batch have been changed so far. `make` judges whether the offer is open.
        """
        key = (id(offer), changes)
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = make()
        return found
