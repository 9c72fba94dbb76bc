"""Two things at the same moment, and what comes of it: the table that `docs/concurrency.md` shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from chat.log import clock
from chat.log.batch import Request
from chat.log.clock import FrozenClock
from chat.log.execute import build, execute_all
from chat.log.pump import pump_once, pump_until_quiet
from commerce.orders.models import Line, Order
from commerce.payments.models import Refund
from commerce.payments.sandbox import sign, webhook_body
from commerce.shops.models import DeliveryOption
from commerce.stock.models import Movement, Waiting
from livesale.checkout.webhooks import receive
from tests.proofs.market import Market, units

HOLD = 600
PRICE = 1990


@dataclass
class Scene:
    """One unit for sale. Anna holds it and is about to pay; where `waits`, Ben is next in line."""

    frozen: FrozenClock
    waits: bool = False
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.market = Market.open(people=3, stock=1, waitlist_cap=5, hold_seconds=HOLD)
        self.anna, self.ben, self.cara = self.market.people
        self.room, self.offer = self.market.rooms[0], self.market.offers[0]
        claimed = self.do("claim.place", self.anna, offer=str(self.offer))
        self.line, self.order = claimed["line"], claimed["order"]
        self.hold_until: datetime = Line.objects.get(id=self.line).hold_until
        if self.waits:
            assert self.do("claim.place", self.ben, offer=str(self.offer))["waiting"] == 1
        option = DeliveryOption.objects.get(shop_id=self.market.shop).id
        self.do("order.deliver", self.anna, order=self.order, option=str(option), contact={"name": "Anna"})
        self.attempt = self.do("order.pay", self.anna, order=self.order)["attempt"]

    def do(self, name: str, actor: UUID, /, **body: Any) -> dict[str, Any]:
        return self.market.do(self.room, name, actor, **body)

    def request(self, name: str, actor: UUID, /, **body: Any) -> Request:
        return build(self.room, name, body, actor_id=actor)

    def together(self, *requests: Request) -> None:
        """In one transaction, in this order."""
        execute_all(requests)
        for r in requests:
            code = getattr(r.error, "code", None)
            self.said.append(f"{r.spec.name} {code or 'done'}")

    def at(self, seconds: float) -> Scene:
        """Move the clock to that many seconds after the end of Anna's hold."""
        self.frozen.set(self.hold_until + timedelta(seconds=seconds))
        return self

    def sweep(self) -> Scene:
        pump_until_quiet()
        return self

    def webhook(self, kind: str = "succeeded", event: str = "e1") -> str:
        body = webhook_body(
            event_id=event, kind=kind, attempt_id=UUID(self.attempt), amount_minor=PRICE, currency="EUR"
        )
        answer = receive("sandbox", body, sign(body, clock.now()))
        said = str(answer["outcome"]) + (" again" if answer.get("repeated") else "")
        self.said.append(f"{event} {said}" if event != "e1" else said)
        return said

    def at_once(self, *works: Callable[[], Any]) -> None:
        """In threads that begin together, each with a connection of its own."""
        start = threading.Barrier(len(works))
        failed: list[BaseException] = []

        def run(work: Callable[[], Any]) -> None:
            try:
                start.wait(20)
                work()
            except BaseException as error:
                failed.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failed, failed

    def outcome(self) -> str:
        """Who has what, what is in the pool, what went back; and how often units moved."""
        stock, held, sold = units(self.market.pool)
        people = []
        for name, person in (("Anna", self.anna), ("Ben", self.ben)):
            states = list(Line.objects.filter(buyer_id=person).order_by("id").values_list("state", flat=True))
            if Waiting.objects.filter(buyer_id=person, state="waiting").exists():
                states.append("waits")
            if states:
                people.append(f"{name} {' then '.join(states)}")
        back = sum(Refund.objects.values_list("amount_minor", flat=True))
        order = Order.objects.get(id=self.order)
        parts = [*people, f"order {order.state}", f"{stock - held - sold} free {held} held {sold} sold"]
        if back:
            parts.append(f"{back / 100:.2f} back")
        moves = Movement.objects.exclude(kind="receive").order_by("at", "id").values_list("kind", flat=True)
        parts.append(" ".join(moves))
        return "; ".join(parts)


@dataclass(frozen=True)
class Race:
    name: str
    waits: bool
    run: Callable[[Scene], Any]
    outcome: str
    said: str = ""


PAID = "Anna paid; order paid; 0 free 0 held 1 sold; hold sell"
PAID_WAITED = "Anna paid; Ben waits; order paid; 0 free 0 held 1 sold; hold sell"
RETAKEN = "Anna paid; order paid; 0 free 0 held 1 sold; hold release hold sell"
GONE = "Anna lapsed; Ben held; order cancelled; 0 free 1 held 0 sold; 19.90 back; hold release hold"
PASSED_ON = "Anna cancelled; Ben held; order cancelled; 0 free 1 held 0 sold; hold release hold"


def _pay(seconds: float, *, swept: bool) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> None:
        scene.at(seconds)
        if swept:
            scene.sweep()
        scene.webhook()

    return run


def _payments() -> list[Race]:
    found = []
    for swept in (False, True):
        order = "sweep, then payment" if swept else "payment, then sweep"
        for seconds, when in (
            (-1, "1 s before"),
            (0, "at the moment"),
            (1, "1 s after"),
            (3600, "1 h after"),
        ):
            for waits in (False, True):
                early = seconds < 0
                found.append(
                    Race(
                        f"payment {when} the hold ends, {'Ben waits' if waits else 'nobody waits'}: {order}",
                        waits,
                        _pay(seconds, swept=swept),
                        (PAID_WAITED if waits else PAID) if early else (GONE if waits else RETAKEN),
                        "paid" if early or not waits else "gone",
                    )
                )
    return found


def _two_sweepers(scene: Scene) -> None:
    scene.at(2).at_once(*[pump_once] * 3)
    scene.sweep()


def _never_paid(seconds: float) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> None:
        scene.at(seconds).sweep()

    return run


def _double_at_once(scene: Scene) -> None:
    scene.at_once(*[scene.webhook] * 3)
    scene.said.sort()


def _two_events(scene: Scene) -> None:
    scene.webhook(event="e1")
    scene.webhook(event="e2")


def _reordered(scene: Scene) -> None:
    scene.webhook(event="e2")
    scene.webhook("failed", event="e1")


def _failed_then_paid(scene: Scene) -> None:
    scene.webhook("failed", event="e1")
    scene.webhook(event="e2")


def _early(scene: Scene) -> None:
    """The gateway is faster than our commit: it is told to come again, and nothing is changed."""
    known, scene.attempt = scene.attempt, str(UUID(int=7))
    try:
        scene.webhook()
    except Exception as error:
        scene.said.append(getattr(error, "code", "?"))
    scene.attempt = known
    scene.webhook()


def _cancel_twice(scene: Scene) -> None:
    scene.together(*[scene.request("claim.cancel", scene.anna, line=scene.line) for _ in range(2)])


def _cancel_at_once(scene: Scene) -> None:
    requests = [scene.request("claim.cancel", scene.anna, line=scene.line) for _ in range(3)]
    scene.at_once(*[lambda r=r: scene.together(r) for r in requests])  # type: ignore[misc]
    scene.said.sort()


def _pay_then_cancel(scene: Scene) -> None:
    scene.webhook()
    scene.together(scene.request("order.cancel", scene.anna, order=scene.order))


def _cancel_then_pay(scene: Scene) -> None:
    scene.together(scene.request("order.cancel", scene.anna, order=scene.order))
    scene.webhook()


def _ban_then_claim(scene: Scene) -> None:
    scene.together(
        scene.request("member.ban", scene.market.owner, person=str(scene.ben)),
        scene.request("claim.place", scene.ben, offer=str(scene.offer)),
    )


def _claim_then_ban(scene: Scene) -> None:
    scene.together(
        scene.request("claim.place", scene.ben, offer=str(scene.offer)),
        scene.request("member.ban", scene.market.owner, person=str(scene.ben)),
    )


def _ban_the_holder(scene: Scene) -> None:
    scene.together(scene.request("member.ban", scene.market.owner, person=str(scene.anna)))


def _last_unit(scene: Scene) -> None:
    scene.together(
        scene.request("claim.cancel", scene.anna, line=scene.line),
        scene.request("claim.place", scene.ben, offer=str(scene.offer)),
        scene.request("claim.place", scene.cara, offer=str(scene.offer)),
    )


RACES = [
    *_payments(),
    Race(
        "three sweepers at once after the hold has ended",
        True,
        _two_sweepers,
        "Anna lapsed; Ben held; order placed; 0 free 1 held 0 sold; hold release hold",
    ),
    Race(
        "the hold has ended, the payment has still half an hour",
        True,
        _never_paid(2),
        "Anna lapsed; Ben held; order placed; 0 free 1 held 0 sold; hold release hold",
    ),
    Race(
        "the hold has ended and the time to pay is over",
        True,
        _never_paid(3600),
        "Anna lapsed; Ben held; order lapsed; 0 free 1 held 0 sold; hold release hold",
    ),
    Race("the same webhook three times at once", False, _double_at_once, PAID, "paid, paid, paid"),
    Race("two success events of one payment", False, _two_events, PAID, "paid, e2 paid again"),
    Race("success first, then an older failure", False, _reordered, PAID, "e2 paid, ignored"),
    Race("failure first, then success", False, _failed_then_paid, PAID, "failed, e2 paid"),
    Race("a webhook before its attempt is committed", False, _early, PAID, "payment.unknown, paid"),
    Race(
        "cancel twice in one batch",
        True,
        _cancel_twice,
        PASSED_ON,
        "claim.cancel done, claim.cancel line.not_held",
    ),
    Race(
        "cancel three times at once",
        True,
        _cancel_at_once,
        PASSED_ON,
        "claim.cancel done, claim.cancel line.not_held, claim.cancel line.not_held",
    ),
    Race("payment, then cancel", True, _pay_then_cancel, PAID_WAITED, "paid, order.cancel order.paid"),
    Race(
        "cancel, then payment",
        True,
        _cancel_then_pay,
        "Anna cancelled; Ben held; order cancelled; 0 free 1 held 0 sold; 19.90 back; hold release hold",
        "order.cancel done, unwanted",
    ),
    Race(
        "ban ahead of a queued claim",
        False,
        _ban_then_claim,
        "Anna held; order placed; 0 free 1 held 0 sold; hold",
        "member.ban done, claim.place member.banned",
    ),
    Race(
        "ban behind a queued claim",
        False,
        _claim_then_ban,
        "Anna held; order placed; 0 free 1 held 0 sold; hold",
        "claim.place done, member.ban done",
    ),
    Race("ban of the holder while Ben waits", True, _ban_the_holder, PASSED_ON, "member.ban done"),
    Race(
        "the last unit comes back and two ask for it in one batch",
        False,
        _last_unit,
        "Anna cancelled; Ben held; order cancelled; 0 free 1 held 0 sold; hold release hold",
        "claim.cancel done, claim.place done, claim.place done",
    ),
]


def table(rows: list[tuple[str, str, str]]) -> str:
    """As it stands in the documentation."""
    lines = ["| at the same moment | answers | what comes of it; how units moved |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(cell or '–' for cell in row)} |" for row in rows)])
