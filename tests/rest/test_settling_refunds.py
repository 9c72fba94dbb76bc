"""Money that no gateway gives back by itself: staff say that they have done it, or ask once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail

from chat.log import clock
from chat.log.batch import SYSTEM
from chat.log.execute import execute
from chat.log.models import Outbox
from chat.log.pump import pump_until_quiet
from chat.moderation.models import AuditEntry
from commerce.errors import Refused
from commerce.payments.gateways import Refunded
from commerce.payments.models import Attempt, Refund
from commerce.payments.sandbox import Sandbox
from commerce.shops.models import DeliveryOption
from commerce.verify import drifts
from tests.rest.world import ShopWorld, client

pytestmark = pytest.mark.database


@pytest.fixture
def placed(world: ShopWorld) -> Iterator[ShopWorld]:
    option = str(DeliveryOption.objects.get(shop_id=world.shop).id)
    order = str(world.order)
    world.do(world.room, "order.deliver", world.buyer, order=order, option=option, contact={"name": "Anna"})
    world.do(world.room, "order.pay", world.buyer, order=order)
    yield world
    assert drifts() == []


def by_hand(world: ShopWorld) -> str:
    """A refund of money that was handed over."""
    world.do(world.room, "order.mark_paid", order=str(world.order))
    world.do(world.room, "order.refund", order=str(world.order), amount_minor=400)
    return str(Refund.objects.get().id)


def reported(world: ShopWorld, **how: Any) -> str:
    """A payment through the sandbox; the refund that comes of it."""
    attempt = Attempt.objects.get(order_id=world.order)
    body = {
        "attempt": str(attempt.id), "event_id": "e1", "kind": "succeeded", "amount_minor": 1500, "currency": "EUR",
    }  # fmt: skip
    execute(world.room, "payment.reported", {**body, **how}, actor_id=SYSTEM)
    if not how:
        world.do(world.room, "order.refund", order=str(world.order))
    return str(Refund.objects.get().id)


def settle(world: ShopWorld, refund: str, outcome: str) -> dict[str, Any]:
    return world.do(world.room, "refund.settle", refund=refund, outcome=outcome)


def shown(world: ShopWorld) -> list[dict[str, Any]]:
    path = f"/api/v1/shops/{world.slug}/orders/{world.order}/"
    found: list[dict[str, Any]] = client(world.owner).get(path).json()["refunds"]
    return found


class Asked:
    """What the sandbox was asked for, and what it answers."""

    def __init__(self) -> None:
        self.answers: list[bool | None] = []
        self.requests: list[tuple[str, int, str]] = []

    def refund(self, request: Any, refund_id: Any, amount_minor: int, now: Any) -> Refunded:
        self.requests.append((str(refund_id), amount_minor, request.currency))
        return Refunded(ok=self.answers.pop(0))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()
    monkeypatch.setattr(Sandbox, "refund", found.refund)
    return found


def test_what_was_handed_over_is_given_back_by_hand(placed: ShopWorld) -> None:
    refund = by_hand(placed)
    pump_until_quiet()
    (seen,) = shown(placed)
    assert seen["since"] > 0
    assert seen | {"since": 0} == {
        "refund": refund, "gateway": "manual", "state": "due", "amount_minor": 400, "currency": "EUR", "since": 0,
    }  # fmt: skip
    with pytest.raises(Refused, match=r"refund\.by_hand"):
        settle(placed, refund, "again")
    mail.outbox.clear()
    assert settle(placed, refund, "done") == {"state": "done"}
    assert shown(placed) == []
    entry = AuditEntry.objects.get(action="refund.settle")
    assert (str(entry.target_id), entry.details) == (str(placed.order), {"refund": refund, "outcome": "done"})
    pump_until_quiet()
    assert "4.00" in mail.outbox[0].body
    assert "has been paid back" in mail.outbox[0].body
    with pytest.raises(Refused, match=r"refund\.state"):
        settle(placed, refund, "done")


def test_a_gateway_that_could_not_is_asked_again(placed: ShopWorld, asked: Asked) -> None:
    asked.answers = [False, False, True]
    refund = reported(placed)
    for _ in range(2):
        pump_until_quiet()
        assert [r["state"] for r in shown(placed)] == ["failed"]
        assert settle(placed, refund, "again") == {"state": "due"}
    pump_until_quiet()
    assert shown(placed) == []
    assert asked.requests == [(refund, 1500, "EUR")] * 3
    with pytest.raises(Refused, match=r"refund\.state"):
        settle(placed, refund, "again")


def test_what_a_gateway_could_not_is_done_by_hand(placed: ShopWorld, asked: Asked) -> None:
    asked.answers = [False]
    refund = reported(placed)
    # as long as the gateway has not said no, the money would go back twice
    with pytest.raises(Refused, match=r"refund\.state"):
        settle(placed, refund, "done")
    pump_until_quiet()
    settle(placed, refund, "done")
    assert Refund.objects.get().state == "done"


def test_what_was_paid_by_hand_is_not_asked_for_by_an_attempt_that_waited(
    placed: ShopWorld, asked: Asked
) -> None:
    asked.answers = [False, True]
    refund = reported(placed)
    waits = Outbox.objects.filter(name="payment.refund").values().get()
    pump_until_quiet()
    settle(placed, refund, "done")
    Outbox.objects.create(**waits)
    pump_until_quiet()
    assert len(asked.requests) == 1
    assert not Outbox.objects.filter(name="payment.refund").exists()


def test_a_promise_that_was_given_up_is_made_anew(placed: ShopWorld, asked: Asked) -> None:
    refund = reported(placed)
    Outbox.objects.filter(name="payment.refund").update(failed=True)
    pump_until_quiet()
    assert [r["state"] for r in shown(placed)] == ["due"]
    asked.answers = [True]
    settle(placed, refund, "again")
    pump_until_quiet()
    assert shown(placed) == []


def test_money_in_another_currency_goes_back_in_it(placed: ShopWorld, asked: Asked) -> None:
    asked.answers = [False, True]
    refund = reported(placed, amount_minor=777, currency="USD")
    pump_until_quiet()
    assert [(r["amount_minor"], r["currency"]) for r in shown(placed)] == [(777, "USD")]
    settle(placed, refund, "again")
    pump_until_quiet()
    assert asked.requests == [(refund, 777, "USD")] * 2


def test_a_gateway_that_will_tell_later_is_waited_for(placed: ShopWorld, asked: Asked) -> None:
    asked.answers = [None]
    reported(placed)
    pump_until_quiet()
    assert [r["state"] for r in shown(placed)] == ["due"]
    assert shown(placed)[0]["since"] <= int(clock.now().timestamp() * 1000)


@pytest.mark.parametrize("whose", ["buyer", "none"])
def test_it_is_for_the_staff(placed: ShopWorld, whose: str) -> None:
    refund = by_hand(placed)
    if whose == "buyer":
        with pytest.raises(Exception, match=r"permission\.denied"):
            placed.do(placed.room, "refund.settle", placed.buyer, refund=refund, outcome="done")
    else:
        with pytest.raises(Refused, match=r"refund\.unknown"):
            settle(placed, str(placed.order), "done")
