"""Staff book the money that they see at the desk, no other amount."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from chat.log import clock
from chat.log.batch import SYSTEM
from chat.log.clock import FrozenClock
from chat.log.execute import execute
from chat.log.pump import pump_until_quiet
from chat.moderation.models import AuditEntry
from commerce.errors import Refused
from commerce.orders.models import Line, Order
from commerce.payments.models import Attempt, Refund
from commerce.shops.models import DeliveryOption
from commerce.verify import drifts
from tests.rest.world import ShopWorld, client

pytestmark = pytest.mark.database


class Desk:
    """A buyer with goods of 15 each in a basket, and what the staff see of it."""

    def __init__(self, time: FrozenClock) -> None:
        self.time = time
        self.world = ShopWorld("Amber")
        self.order = str(self.world.order)
        self.line = str(Line.objects.get(order_id=self.order).id)
        self.option = str(DeliveryOption.objects.get(shop_id=self.world.shop).id)

    def claims(self, qty: int) -> str:
        body = {"offer": str(self.world.offer), "qty": qty}
        line: str = self.world.do(self.world.room, "claim.place", self.world.buyer, **body)["line"]
        return line

    def delivered(self, **option: Any) -> None:
        DeliveryOption.objects.filter(id=self.option).update(**option)
        self.buyer("order.deliver", option=self.option, contact={"name": "Anna", **_HOME})

    def buyer(self, name: str, **body: Any) -> dict[str, Any]:
        return self.world.do(self.world.room, name, self.world.buyer, order=self.order, **body)

    def gives_back(self, line: str, qty: int | None = None) -> None:
        self.world.do(self.world.room, "claim.cancel", self.world.buyer, line=line, qty=qty)

    def staff(self, name: str, **body: Any) -> dict[str, Any]:
        return self.world.do(self.world.room, name, order=self.order, **body)

    def shown(self) -> dict[str, Any]:
        path = f"/api/v1/shops/{self.world.slug}/orders/{self.order}/"
        found: dict[str, Any] = client(self.world.owner).get(path).json()
        return found

    def money(self) -> tuple[str, int, int, int]:
        order = Order.objects.get(id=self.order)
        return order.state, order.total_minor, order.paid_minor, order.refunded_minor

    def later(self, seconds: float) -> None:
        self.time.advance(seconds)
        pump_until_quiet()


_HOME = {"street": "Lane 1", "postcode": "10115", "city": "Berlin"}


@pytest.fixture
def desk(db: None) -> Iterator[Desk]:
    with clock.frozen() as time:
        yield Desk(time)
        assert drifts() == []


def test_a_begun_payment_of_another_amount_is_replaced(desk: Desk) -> None:
    more = desk.claims(1)
    desk.delivered()
    desk.buyer("order.pay", gateway="manual", method="cash")
    desk.gives_back(more)
    assert desk.shown()["due_minor"] == 1500
    assert desk.staff("order.mark_paid", amount_minor=1500) == {"outcome": "paid"}
    assert desk.money() == ("paid", 1500, 1500, 0)
    assert not Refund.objects.exists()
    states = Attempt.objects.order_by("id").values_list("state", "amount_minor")
    assert list(states) == [("cancelled", 3000), ("succeeded", 1500)]


def lapsed_in_part(desk: Desk) -> None:
    """Placed with two lines, of which the first lapses before the other."""
    desk.time.advance(120)
    desk.claims(1)
    desk.delivered()
    desk.buyer("order.pay", gateway="sandbox")
    first = Line.objects.get(id=desk.line).hold_until
    desk.later((first - clock.now()).total_seconds() + 1)
    assert sorted(Line.objects.filter(order_id=desk.order).values_list("state", flat=True)) == [
        "held",
        "lapsed",
    ]


def test_what_has_lapsed_is_neither_shown_nor_booked(desk: Desk) -> None:
    lapsed_in_part(desk)
    assert desk.shown()["due_minor"] == 1500
    assert desk.staff("order.mark_paid", amount_minor=1500) == {"outcome": "paid"}
    assert desk.money() == ("paid", 1500, 1500, 0)
    assert Line.objects.get(id=desk.line).state == "lapsed"


def test_another_amount_than_what_would_be_booked_is_refused(desk: Desk) -> None:
    lapsed_in_part(desk)
    with pytest.raises(Refused) as refused:
        desk.staff("order.mark_paid", amount_minor=3000)
    assert (refused.value.code, refused.value.params) == ("order.amount", {"amount_minor": 1500})
    assert desk.money()[0] == "placed"


def test_a_lapsed_order_costs_what_it_was_placed_for(desk: Desk) -> None:
    desk.delivered()
    desk.buyer("order.pay", gateway="sandbox")
    desk.later(3 * 3600)
    assert (desk.money()[0], desk.shown()["due_minor"]) == ("lapsed", 1500)
    with pytest.raises(Refused, match=r"order\.amount"):
        desk.staff("order.mark_paid", amount_minor=0)
    assert desk.staff("order.mark_paid", amount_minor=1500) == {"outcome": "paid"}
    assert desk.money() == ("paid", 1500, 1500, 0)


def test_a_basket_is_booked_with_its_shipping(desk: Desk) -> None:
    desk.delivered(kind="delivery", fee_minor=490, free_from_minor=5000)
    assert desk.shown()["due_minor"] == 1990
    with pytest.raises(Refused, match=r"order\.amount"):
        desk.staff("order.mark_paid", amount_minor=1500)
    # refused is as if it had never been asked
    assert (desk.money()[0], Order.objects.get(id=desk.order).number) == ("open", None)
    desk.staff("order.mark_paid", amount_minor=1990)
    assert desk.money() == ("paid", 1990, 1990, 0)


def test_who_says_no_amount_books_what_is_due(desk: Desk) -> None:
    desk.delivered()
    assert desk.staff("order.mark_paid") == {"outcome": "paid"}
    assert desk.money() == ("paid", 1500, 1500, 0)


def test_a_basket_that_costs_nothing_is_paid_and_said_to_be(desk: Desk) -> None:
    Line.objects.filter(id=desk.line).update(unit_price_minor=0)
    desk.delivered()
    assert desk.staff("order.mark_paid", amount_minor=0) == {"outcome": "paid"}
    assert desk.money() == ("paid", 0, 0, 0)
    entry = AuditEntry.objects.get(action="order.mark_paid")
    assert entry.target_id == UUID(desk.order)


def test_giving_back_takes_no_free_shipping_along(desk: Desk) -> None:
    many = desk.claims(3)
    desk.delivered(kind="delivery", fee_minor=490, free_from_minor=5000)
    desk.buyer("order.pay", gateway="sandbox")
    assert desk.money()[1] == 6000
    desk.gives_back(many)
    assert desk.money()[1] == 1990
    assert desk.shown()["due_minor"] == 1990
    # the payment that was begun for all of it: what was given back returns, without the shipping
    attempt = Attempt.objects.get(order_id=desk.order)
    _comes(desk, attempt)
    assert desk.money() == ("paid", 1990, 6000, 4010)


def test_giving_back_never_makes_an_order_dearer(desk: Desk) -> None:
    many = desk.claims(3)
    desk.delivered(kind="delivery", fee_minor=2000, free_from_minor=6000)
    desk.buyer("order.pay", gateway="sandbox")
    desk.gives_back(many, 1)
    # 45 for goods, and as much of the shipping as came back
    assert desk.money()[1] == 6000
    attempt = Attempt.objects.get(order_id=desk.order)
    desk.gives_back(many, 1)
    assert desk.money()[1] == 5000
    desk.gives_back(many, 1)
    assert desk.money()[1] == 3500
    _comes(desk, attempt)
    assert desk.money() == ("paid", 3500, 6000, 2500)


def test_shipping_is_decided_again_for_what_is_still_held(desk: Desk) -> None:
    desk.time.advance(120)
    desk.claims(3)
    desk.delivered(kind="delivery", fee_minor=490, free_from_minor=5000)
    desk.buyer("order.pay", gateway="sandbox")
    first = Line.objects.get(id=desk.line).hold_until
    desk.later((first - clock.now()).total_seconds() + 1)
    assert desk.shown()["due_minor"] == 4990
    assert desk.buyer("order.pay", gateway="manual", method="cash")["amount_minor"] == 4990
    assert desk.shown()["due_minor"] == 4990
    desk.staff("order.mark_paid", amount_minor=4990)
    assert desk.money() == ("paid", 4990, 4990, 0)


def _comes(desk: Desk, attempt: Attempt) -> None:
    body = {
        "attempt": str(attempt.id), "event_id": "e1", "kind": "succeeded", "amount_minor": attempt.amount_minor,
        "currency": attempt.currency,
    }  # fmt: skip
    execute(desk.world.room, "payment.reported", body, actor_id=SYSTEM)
