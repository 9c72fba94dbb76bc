"""What is ordered and never paid goes back, however often its buyer begins to pay, and the order ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from chat.log import clock
from chat.log.clock import FrozenClock
from chat.log.execute import execute
from chat.log.models import Event
from chat.log.pump import pump_until_quiet
from commerce.errors import Refused
from commerce.orders.models import Contact, Line, Order
from commerce.orders.selectors import orders
from commerce.orders.services import erase_free_contacts
from commerce.shops.models import DeliveryOption
from tests.proofs.market import Market, drifts, units

pytestmark = [pytest.mark.database, pytest.mark.django_db]

MANUAL = ("on_pickup", "transfer", "cash")


class Forgetful:
    """Anna has placed an order for the only unit and does not pay; Ben waits for it."""

    def __init__(self, time: FrozenClock) -> None:
        self.time = time
        self.market = Market.open(people=2, stock=1, waitlist_cap=5, hold_seconds=600)
        self.anna, self.ben = self.market.people
        self.room, offer = self.market.rooms[0], str(self.market.offers[0])
        self.order: str = self.market.do(self.room, "claim.place", self.anna, offer=offer)["order"]
        assert self.market.do(self.room, "claim.place", self.ben, offer=offer)["waiting"] == 1
        option = str(DeliveryOption.objects.get(shop_id=self.market.shop).id)
        self.market.do(
            self.room, "order.deliver", self.anna, order=self.order, option=option, contact={"name": "Anna"}
        )

    def begins_to_pay(self, method: str = "", gateway: str = "manual") -> bool:
        """Whether she still may."""
        body = {"order": self.order, "gateway": gateway, "method": method}
        # an id of this moment, as a client's is: days later the command would be too old to be judged
        client_id = uuid7(int(clock.now().timestamp()), 0)
        try:
            execute(self.room, "order.pay", body, actor_id=self.anna, client_id=client_id)
        except Refused as refusal:
            assert (refusal.code, refusal.params) == ("order.state", {"state": "lapsed"})
            return False
        return True

    def later(self, **time: float) -> None:
        self.time.advance(timedelta(**time).total_seconds())
        pump_until_quiet()

    def state(self) -> tuple[str, str]:
        return Order.objects.values_list("state", "payment_state").get(id=self.order)

    def bens_turn(self) -> bool:
        return Line.objects.filter(buyer_id=self.ben, state="held").exists()

    def heard(self, kind: str, since: int) -> list[UUID | None]:
        """Who was told so since then; None for the staff."""
        events = Event.objects.filter(stream_id=self.room, kind=kind, seq__gt=since)
        return [e.person_id for e in events.order_by("seq") if self.order in str(e.body)]

    def last(self) -> int:
        return Event.objects.filter(stream_id=self.room).order_by("-seq").values_list("seq", flat=True)[0]


@pytest.fixture
def scene() -> Iterator[Forgetful]:
    with clock.frozen() as time:
        yield Forgetful(time)
        assert drifts() == []


@pytest.mark.parametrize(
    ("methods", "longest"), [(MANUAL[:1], 7), (MANUAL[1:2], 5), (MANUAL, 7), (MANUAL[::-1], 7)]
)
def test_who_begins_to_pay_every_hour_holds_nothing_for_ever(
    scene: Forgetful, methods: tuple[str, ...], longest: int
) -> None:
    hours = 0
    while scene.begins_to_pay(methods[hours % len(methods)]):
        hours += 1
        assert hours <= longest * 24
        scene.later(hours=1)
    assert hours == longest * 24
    # the seconds between the end of the hold and the sweep that was promised for it
    scene.later(seconds=2)
    assert scene.bens_turn()
    assert scene.state() == ("lapsed", "unpaid")
    assert units(scene.market.pool) == (1, 1, 0)


def test_an_order_ends_with_the_last_that_it_waits_for(scene: Forgetful) -> None:
    assert scene.begins_to_pay(gateway="sandbox")
    scene.later(seconds=602)
    assert scene.bens_turn()
    # money may still be on its way
    assert scene.state() == ("placed", "pending")
    since = scene.last()
    scene.later(minutes=30)
    assert scene.state() == ("lapsed", "unpaid")
    assert scene.heard("order.changed", since) == [scene.anna]
    assert scene.heard("orders.changed", since) == [None]


def test_an_order_whose_attempt_failed_ends_with_its_hold(scene: Forgetful) -> None:
    assert scene.begins_to_pay(gateway="sandbox")
    attempt = Order.objects.get(id=scene.order).attempts.get()
    scene.market.do(
        scene.room,
        "payment.reported",
        UUID(int=0),
        attempt=str(attempt.id),
        event_id="e1",
        kind="failed",
        amount_minor=attempt.amount_minor,
        currency="EUR",
    )
    assert scene.state() == ("placed", "unpaid")
    since = scene.last()
    scene.later(seconds=602)
    assert scene.state() == ("lapsed", "unpaid")
    # of the hold, and of the order
    assert scene.heard("order.changed", since) == [scene.anna] * 2
    assert scene.heard("orders.changed", since) == [None] * 2


@pytest.mark.parametrize("free", [True, False], ids=["free", "gone"])
def test_staff_have_the_money_for_a_lapsed_order_in_hand(scene: Forgetful, free: bool) -> None:
    assert scene.begins_to_pay(gateway="sandbox")
    scene.later(hours=1)
    assert [o.id for o in orders(shop_id=scene.market.shop, state="lapsed")] == [UUID(scene.order)]
    if free:
        scene.later(minutes=11)  # Ben's turn is over, too
    said = scene.market.do(scene.room, "order.mark_paid", order=scene.order, method="cash")
    assert said == {"outcome": "paid" if free else "gone"}
    assert scene.state() == (("paid", "paid") if free else ("cancelled", "refunded"))


def test_whom_a_lapsed_order_went_to_is_free_to_be_erased(scene: Forgetful) -> None:
    assert scene.begins_to_pay(gateway="sandbox")
    before = clock.now() - timedelta(days=365)
    assert erase_free_contacts(buyer=scene.anna, before=before) == 0
    scene.later(hours=1)
    assert erase_free_contacts(buyer=scene.anna, before=before) == 1
    assert not Contact.objects.filter(order_id=scene.order).exists()
