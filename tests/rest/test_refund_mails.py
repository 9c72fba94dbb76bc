"""A mail about money that goes back names this money, whatever went back before."""

from __future__ import annotations

import re

import pytest
from django.core import mail

from chat.log.batch import SYSTEM
from chat.log.execute import execute
from chat.log.pump import pump_until_quiet
from commerce.payments.models import Attempt
from commerce.shops.models import DeliveryOption
from livesale.notices.events import send_notice
from tests.rest.world import ShopWorld

pytestmark = pytest.mark.database


@pytest.fixture
def placed(world: ShopWorld) -> ShopWorld:
    option = str(DeliveryOption.objects.get(shop_id=world.shop).id)
    order = str(world.order)
    world.do(world.room, "order.deliver", world.buyer, order=order, option=option, contact={"name": "Anna"})
    world.do(world.room, "order.pay", world.buyer, order=order)
    return world


def announced() -> list[str]:
    """The amounts of all refunds that were announced, in order."""
    pump_until_quiet()
    texts = [m.body for m in mail.outbox if m.subject.startswith("Refund")]
    return [re.findall(r"\d+\.\d\d", text)[0] for text in texts]


def test_each_refund_is_announced_with_its_own_amount(placed: ShopWorld) -> None:
    placed.do(placed.room, "order.mark_paid", order=str(placed.order))
    for amount in (300, 450):
        placed.do(placed.room, "order.refund", order=str(placed.order), amount_minor=amount)
        pump_until_quiet()
    assert announced() == ["3.00", "4.50"]


def test_money_that_does_not_fit_is_announced_with_its_amount(placed: ShopWorld) -> None:
    attempt = Attempt.objects.get(order_id=placed.order)
    body = {
        "attempt": str(attempt.id), "event_id": "e1", "kind": "succeeded", "amount_minor": 777, "currency": "USD",
    }  # fmt: skip
    execute(placed.room, "payment.reported", body, actor_id=SYSTEM)
    assert announced() == ["7.77"]
    assert "$" in mail.outbox[0].body or "USD" in mail.outbox[0].body


def test_a_promise_of_the_version_before_is_kept(placed: ShopWorld) -> None:
    placed.do(placed.room, "order.mark_paid", order=str(placed.order))
    placed.do(placed.room, "order.refund", order=str(placed.order), amount_minor=300)
    announced()
    mail.outbox.clear()
    ids = {"person": str(placed.buyer.id), "order": str(placed.order), "line": ""}
    send_notice({"kind": "order.refunded", **ids})
    assert announced() == ["3.00"]
