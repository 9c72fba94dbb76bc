"""What a batch of a sale knew is gone with it: hundreds of orders and lines are no work for the garbage collector."""

from __future__ import annotations

from uuid import UUID

import pytest

from chat.log import pump
from chat.log.errors import Refused
from commerce.errors import Refused as RefusedByCommerce
from commerce.orders.rows import LineRow
from commerce.orders.services import OrderBook
from commerce.stock.services import StockBook
from tests.leftovers import nothing_left
from tests.proofs.market import Market

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def test_of_claims_and_what_becomes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market.open(people=4, stock=2, waitlist_cap=1)
    room, offer = market.rooms[0], str(market.offers[0])
    refused: list[str] = []

    def claim(person: UUID) -> dict[str, object]:
        try:
            return market.do(room, "claim.place", person, offer=offer)
        except (Refused, RefusedByCommerce) as refusal:
            refused.append(refusal.code)
            return {}

    with nothing_left(monkeypatch, OrderBook, StockBook, LineRow):
        got, other, waits, _ = (claim(person) for person in market.people)
        assert (got["got"], other["got"], waits["waiting"]) == (1, 1, 1)
        market.do(room, "claim.cancel", market.people[0], line=str(got["line"]))
        market.do(room, "claim.extend", market.people[1], line=str(other["line"]))
        market.do(room, "message.send", market.people[2], text="mine!")
        market.do(room, "member.ban", person=str(market.people[1]), everywhere=True)
        pump.pump_until_quiet()
    assert refused == ["claim.sold_out"]
