"""A drop ends when its time is up, whatever was before it."""

from __future__ import annotations

from uuid import UUID

import pytest

from chat.log import clock, pump
from livesale.sales.models import Offer
from tests.proofs.market import Market, drifts, units

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def open_drop(market: Market, *, seconds: int) -> None:
    market.do(
        market.rooms[0],
        "drop.open",
        offer=str(market.offers[0]),
        allotment=2,
        duration_seconds=seconds,
    )


def is_drop(offer_id: UUID) -> bool:
    return Offer.objects.get(id=offer_id).is_drop


@pytest.mark.parametrize(("first", "second"), [(600, 600), (600, 60), (60, 600)], ids=["as", "short", "long"])
def test_a_drop_that_was_closed_early_and_opened_again_ends_at_its_own_time(first: int, second: int) -> None:
    market = Market.open(stock=8)
    offer = market.offers[0]
    with clock.frozen() as time:
        open_drop(market, seconds=first)
        time.advance(30)
        market.do(market.rooms[0], "drop.close", offer=str(offer))
        open_drop(market, seconds=second)
        time.advance(second - 1)
        # the end that was promised to the first one may lie in between, and ends nothing
        pump.pump_until_quiet()
        assert is_drop(offer)
        time.advance(2)
        pump.pump_until_quiet()
        assert not is_drop(offer)
    assert units(market.pool) == (8, 0, 0)
    assert drifts() == []
