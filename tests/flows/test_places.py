"""Places in a long waiting list: told right, and for the price of those who asked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from chat.log import clock
from commerce.orders.models import Order
from commerce.stock.models import Pool, Waiting
from livesale.claims.views import order_views, waiting_views
from tests.proofs.market import Market

pytestmark = [pytest.mark.database, pytest.mark.django_db]

PEOPLE = 2_000


class Reading:
    """Counts the statements that are made meanwhile and the rows that they bring."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.asked.append((sql, params))
        return execute(sql, params, many, context)

    def of(self, order_ids: list[UUID]) -> dict[UUID, list[dict[str, Any]]]:
        with connection.execute_wrapper(self):
            return waiting_views(order_ids)

    def rows(self) -> int:
        with connection.cursor() as cursor:
            found = 0
            for sql, params in self.asked:
                cursor.execute(sql, params)
                found += len(cursor.fetchall())
            return found


def wait(market: Market, count: int) -> list[Waiting]:
    """So many people wait, each with a basket of their own; ranks with gaps, as those leave them who went."""
    pool = Pool.objects.get(id=market.pool)
    now = clock.now()
    made = [
        Waiting(
            shop_id=market.shop,
            pool=pool,
            offer_id=market.offers[0],
            order_id=uuid7(),
            buyer_id=uuid7(),
            placed_by_id=uuid7(),
            qty=1,
            rank=1 + 3 * i,
            terms={"title": "Scarf"},
            state="gone" if i % 5 == 4 else "waiting",
            created_at=now,
        )
        for i in range(count)
    ]
    Waiting.objects.bulk_create(made, batch_size=500)
    return [w for w in made if w.state == "waiting"]


def test_places_are_those_of_the_list_and_cost_what_was_asked_for() -> None:
    market = Market.open(rooms=2)
    waiting = wait(market, PEOPLE)
    asked = [0, 1, 7, len(waiting) // 2, len(waiting) - 1]
    reading = Reading()
    found = reading.of([waiting[i].order_id for i in asked])
    assert {order: [v["place"] for v in views] for order, views in found.items()} == {
        waiting[i].order_id: [i + 1] for i in asked
    }
    assert (len(reading.asked), reading.rows()) == (1, len(asked))
    everybody = waiting_views([w.order_id for w in waiting[:500]])
    assert [everybody[w.order_id][0]["place"] for w in waiting[:500]] == list(range(1, 501))


def test_one_who_waits_on_several_things_has_a_place_in_each() -> None:
    first, second = Market.open(name="One"), Market.open(name="Two")
    order_id = uuid7()
    for market, at in ((first, 3), (second, 0)):
        entry = wait(market, 5)[at]
        Waiting.objects.filter(id=entry.id).update(order_id=order_id)
    views = waiting_views([order_id])[order_id]
    assert {v["offer"]: v["place"] for v in views} == {
        str(first.offers[0]): 4,
        str(second.offers[0]): 1,
    }
    assert views[0]["title"] == "Scarf"


def test_nobody_who_waits_is_no_view() -> None:
    assert waiting_views([uuid7()]) == {}
    assert order_views([]) == []


def test_a_place_is_what_the_claim_was_answered_with() -> None:
    market = Market.open(people=4, stock=1, waitlist_cap=5)
    answers = [
        market.do(market.rooms[0], "claim.place", p, offer=str(market.offers[0])) for p in market.people
    ]
    orders = list(Order.objects.filter(id__in=[a["order"] for a in answers]).order_by("id"))
    told = {v["order"]: v["waiting"][0]["place"] for v in order_views(orders) if v["waiting"]}
    assert told == {a["order"]: a["place"] for a in answers if a["wait"]}
    assert list(told.values()) == [1, 2, 3]
