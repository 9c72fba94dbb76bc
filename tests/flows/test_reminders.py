"""Whoever holds something is reminded once, two minutes before that hold ends, and never of an end that has moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.core import mail

from chat.log import clock
from chat.log.clock import FrozenClock
from chat.log.pump import pump_until_quiet
from commerce.orders.models import Line
from commerce.shops.models import DeliveryOption
from livesale.accounts.models import User
from tests.proofs.market import Market

pytestmark = [pytest.mark.database, pytest.mark.django_db]

SYSTEM = UUID(int=0)
HOLD = 600
SOON = HOLD - 120


class Crowd:
    """People who claim one after the other, in successive seconds."""

    def __init__(self, time: FrozenClock, people: int, **market: int) -> None:
        self.time = time
        self.market = Market.open(people=people, hold_seconds=HOLD, **market)
        self.answers: list[dict] = []
        for at, person in enumerate(self.market.people):
            User.objects.filter(id=person).update(email=f"{at}@crowd.test")
            self.answers.append(self.do(at, "claim.place", offer=str(self.market.offers[0])))
            time.advance(1)

    def do(self, who: int, name: str, room: int = 0, **body: str) -> dict:
        return self.market.do(self.market.rooms[room], name, self.market.people[who], **body)

    def pass_seconds(self, seconds: int) -> None:
        """Promises are kept every second, as they are where the server runs."""
        for _ in range(seconds):
            self.time.advance(1)
            pump_until_quiet()

    def pay_by_transfer(self, who: int) -> dict:
        order, option = self.answers[who]["order"], DeliveryOption.objects.get(shop_id=self.market.shop)
        self.do(who, "order.deliver", order=order, option=str(option.id), contact={"name": "Anna"})
        return self.do(who, "order.pay", order=order, gateway="manual", method="transfer")

    def reminded(self) -> dict[int, int]:
        """How many reminders each has got."""
        mails = Counter(m.to[0] for m in mail.outbox if m.subject.startswith("Still want"))
        return {int(to.split("@")[0]): count for to, count in mails.items()}


@pytest.fixture
def time() -> Iterator[FrozenClock]:
    with clock.frozen() as time:
        yield time


def test_one_reminder_for_each_however_many_claim_in_the_seconds_after(time: FrozenClock) -> None:
    crowd = Crowd(time, 20)
    crowd.pass_seconds(SOON - 20)
    assert crowd.reminded() == {}
    crowd.pass_seconds(22)
    assert crowd.reminded() == dict.fromkeys(range(20), 1)
    crowd.pass_seconds(90)
    assert crowd.reminded() == dict.fromkeys(range(20), 1)


def test_two_rooms_that_sell_one_pool_remind_their_own_buyers(time: FrozenClock) -> None:
    crowd = Crowd(time, 1, rooms=2)
    # the same second as the first claim: both rooms promise to look at the same pool at the same moment
    time.advance(-1)
    crowd.do(0, "claim.place", room=1, offer=str(crowd.market.offers[1]))
    crowd.pass_seconds(SOON + 5)
    assert crowd.reminded() == {0: 2}
    crowd.pass_seconds(90)
    assert crowd.reminded() == {0: 2}


def test_who_gave_it_back_or_has_paid_is_not_reminded(time: FrozenClock) -> None:
    crowd = Crowd(time, 4)
    crowd.do(0, "claim.cancel", line=crowd.answers[0]["line"])
    begun = crowd.pay_by_transfer(1)
    crowd.market.do(
        crowd.market.rooms[0],
        "payment.reported",
        SYSTEM,
        attempt=begun["attempt"],
        event_id="e1",
        kind="succeeded",
        amount_minor=begun["amount_minor"],
        currency="EUR",
    )
    crowd.pass_seconds(HOLD - 4)
    assert crowd.reminded() == {2: 1, 3: 1}


def test_whose_transfer_is_on_its_way_is_not_reminded_of_the_old_end(time: FrozenClock) -> None:
    crowd = Crowd(time, 3)
    crowd.pay_by_transfer(0)
    assert Line.objects.get(id=crowd.answers[0]["line"]).hold_until > clock.now() + timedelta(days=4)
    crowd.pass_seconds(HOLD + 10)
    assert crowd.reminded() == {1: 1, 2: 1}


def test_an_extended_hold_is_reminded_of_at_its_new_end(time: FrozenClock) -> None:
    crowd = Crowd(time, 3)
    crowd.do(0, "claim.extend", line=crowd.answers[0]["line"])
    longer = int(
        Line.objects.get(id=crowd.answers[0]["line"]).hold_until.timestamp() - clock.now().timestamp()
    )
    crowd.pass_seconds(HOLD - 3)
    assert crowd.reminded() == {1: 1, 2: 1}
    crowd.pass_seconds(longer - HOLD)
    assert crowd.reminded() == {0: 1, 1: 1, 2: 1}


def test_a_turn_is_reminded_of_like_any_hold(time: FrozenClock) -> None:
    crowd = Crowd(time, 2, stock=1, waitlist_cap=5)
    crowd.do(0, "claim.cancel", line=crowd.answers[0]["line"])
    crowd.pass_seconds(HOLD - 1)
    assert crowd.reminded() == {1: 1}
