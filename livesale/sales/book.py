# ruff: noqa: S608 - names come from the models, values are parameters
"""The sales of a batch: the rooms' sales, their offers, and what of them has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.db import connection, models

from chat.log.batch import Batch, Insert, Part, Request
from chat.log.errors import Refused, describe
from chat.log.store import any_of, ask
from livesale.claims.language import Parsed
from livesale.sales.models import Offer, Sale, SaleState

describe("sale.none", "There is no sale in this room.")
describe("sale.state", "That cannot be done while the sale is {state}.")


Row = TypeVar("Row", Sale, Offer)


@cache
def _columns(model: type[models.Model]) -> tuple[list[str], str, str]:
    """Attribute names, the SELECT of their columns, and a letter per column for `fetch`."""
    fields = model._meta.concrete_fields
    letters = {models.UUIDField: "u", models.ForeignKey: "u", models.DateTimeField: "t"}
    kinds = "".join(
        next((letter for kind, letter in letters.items() if isinstance(field, kind)), "s") for field in fields
    )
    columns = ", ".join(str(field.column) for field in fields)
    return (
        [field.attname for field in fields],
        f"SELECT {columns} FROM {model._meta.db_table} WHERE ",
        kinds,
    )


def _ask(model: type[Row], where: str, params: list[Any]) -> Callable[[], list[Row]]:
    """Rows as model instances. Making the query anew each time would cost the ORM more than reading the rows."""
    names, select, kinds = _columns(model)
    rows = ask(select + where, params, kinds)
    return lambda: [model.from_db(connection.alias, names, row) for row in rows()]


class SaleBook(Part):
    """Sales and offers change only under their room's head, which is locked before anything is read here."""

    rank: ClassVar[int] = 60

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._sales: dict[UUID, Sale | None] = {}
        self._offers: dict[UUID, dict[UUID, Offer]] = {}
        self._dirty_sales: set[UUID] = set()
        self._dirty_offers: set[UUID] = set()
        self._new_offers: set[UUID] = set()
        self._told_sales: set[UUID] = set()
        self._parsed: dict[int, Parsed | None] = {}
        # how often a sale or an offer was changed in this batch
        self.changes = 0

    def fetch(self, room_ids: Iterable[UUID]) -> None:
        """Read the current sale of each room with its offers; while declaring."""
        missing = [r for r in dict.fromkeys(room_ids) if r not in self._sales]
        if not missing:
            return
        for room_id in missing:
            self._sales[room_id] = None
            self._offers[room_id] = {}
        rooms, ids = any_of("room_id", missing)
        condition, table = f"{rooms} AND state <> '{SaleState.ENDED.value}'", Sale._meta.db_table
        sales = _ask(Sale, condition, [ids])
        offers = _ask(
            Offer,
            f"sale_id IN (SELECT id FROM {table} WHERE {condition}) AND removed_at IS NULL ORDER BY position, id",
            [ids],
        )
        for sale in sales():
            self._sales[sale.room_id] = sale
        for offer in offers():
            self._offers[offer.room_id][offer.id] = offer

    def sale(self, room_id: UUID, *states: str) -> Sale:
        """The room's sale that is not ended. Raises `sale.none`, or `sale.state` when it is in none of `states`."""
        sale = self._sales.get(room_id)
        if sale is None:
            raise Refused("sale.none")
        if states and sale.state not in states:
            raise Refused("sale.state", state=sale.state)
        return sale

    def sale_or_none(self, room_id: UUID) -> Sale | None:
        return self._sales.get(room_id)

    def offers(self, room_id: UUID) -> list[Offer]:
        return [o for o in self._offers.get(room_id, {}).values() if o.removed_at is None]

    def offer(self, room_id: UUID, offer_id: UUID) -> Offer:
        offer = self._offers.get(room_id, {}).get(offer_id)
        if offer is None or offer.removed_at is not None:
            raise Refused("offer.unknown")
        return offer

    def offer_or_none(self, room_id: UUID, offer_id: UUID) -> Offer | None:
        offer = self._offers.get(room_id, {}).get(offer_id)
        return offer if offer is not None and offer.removed_at is None else None

    def parse_once(self, request: Request, parse: Callable[[], Parsed | None]) -> Parsed | None:
        """What a typed text means, read once per batch: the pool it names is locked by that reading."""
        key = id(request)
        if key not in self._parsed:
            self._parsed[key] = parse()
        return self._parsed[key]

    def add_sale(self, sale: Sale) -> None:
        self.changes += 1
        self._sales[sale.room_id] = sale
        self._offers[sale.room_id] = {}
        self._dirty_sales.add(sale.room_id)
        self.tell_sale(sale.room_id)

    def change_sale(self, sale: Sale, **changes: Any) -> None:
        self.changes += 1
        for name, value in changes.items():
            setattr(sale, name, value)
        self._dirty_sales.add(sale.room_id)
        self.tell_sale(sale.room_id)

    def tell_sale(self, room_id: UUID) -> None:
        """The room hears of its sale, once per batch and sale."""
        sale = self._sales[room_id]
        assert sale is not None
        if sale.id not in self._told_sales:
            self._told_sales.add(sale.id)
            self.batch.emit(room_id, "sale.changed", {"sale": str(sale.id)})

    def add_offer(self, offer: Offer) -> None:
        self._offers[offer.room_id][offer.id] = offer
        self._new_offers.add(offer.id)
        self.batch.emit(offer.room_id, "offer.changed", {"offer": str(offer.id)})

    def change_offer(self, offer: Offer, **changes: Any) -> None:
        self.changes += 1
        for name, value in changes.items():
            setattr(offer, name, value)
        self._dirty_offers.add(offer.id)
        self.batch.emit(offer.room_id, "offer.changed", {"offer": str(offer.id)})

    def remove_offer(self, offer: Offer) -> None:
        self.changes += 1
        offer.removed_at = self.batch.now
        self._dirty_offers.add(offer.id)
        self.batch.emit(offer.room_id, "offer.removed", {"offer": str(offer.id)})

    def reorder(self, room_id: UUID, order: list[UUID]) -> None:
        known = self._offers[room_id]
        for position, offer_id in enumerate(order):
            if offer_id in known and known[offer_id].position != position:
                known[offer_id].position = position
                self._dirty_offers.add(offer_id)
        self.batch.emit(room_id, "offer.reordered", {"offers": [str(o) for o in order]})

    def write(self, now: datetime, insert: Insert) -> None:
        for room_id in self._dirty_sales:
            sale = self._sales[room_id]
            assert sale is not None
            sale.save()
        offers = {o.id: o for room in self._offers.values() for o in room.values()}
        for offer_id in self._dirty_offers | self._new_offers:
            offers[offer_id].save(force_insert=offer_id in self._new_offers)
