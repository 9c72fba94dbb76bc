"""How many units of an offer one buyer may have: a limit is changed, stays, and is lifted."""

from __future__ import annotations

from typing import Any

import pytest

from chat.log.errors import Refused
from commerce.errors import Refused as ClaimRefused
from livesale.sales.selectors import current_sale
from tests.proofs.market import Market, drifts

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def update(market: Market, **changes: Any) -> int | None:
    market.do(market.rooms[0], "offer.update", offer=str(market.offers[0]), **changes)
    sale = current_sale(market.rooms[0])
    assert sale is not None
    limit: int | None = sale["offers"][0]["limit"]
    return limit


def test_a_limit_stays_unless_another_one_or_none_is_asked_for() -> None:
    market = Market.open(stock=8, limit=2)
    assert update(market, price_minor=100) == 2
    assert update(market, limit=None) == 2
    assert update(market, limit=3) == 3
    assert update(market, limit=0) is None
    assert update(market, state="open") is None
    assert update(market, limit=1) == 1


def test_where_the_limit_is_lifted_a_buyer_may_have_more() -> None:
    market = Market.open(stock=8, limit=2)
    claim = {"offer": str(market.offers[0]), "qty": 3}
    with pytest.raises(ClaimRefused, match=r"claim\.limit"):
        market.do(market.rooms[0], "claim.place", market.people[0], **claim)
    update(market, limit=0)
    assert market.do(market.rooms[0], "claim.place", market.people[0], **claim)["got"] == 3
    assert drifts() == []


@pytest.mark.parametrize("limit", [-1, 1000])
def test_what_is_no_limit_is_refused(limit: int) -> None:
    market = Market.open(limit=2)
    with pytest.raises(Refused, match=r"command\.invalid"):
        update(market, limit=limit)
    assert update(market) == 2
