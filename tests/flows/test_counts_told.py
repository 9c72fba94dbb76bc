"""Whatever is done in a sale, what rooms are told of stock at once is what is there: nobody waits for the beacon."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F

from chat.log import clock, execute, pump
from chat.log.batch import Outcome, Request
from livesale.claims.goods import Goods
from livesale.sales.models import Offer
from livesale.sales.selectors import room_values
from tests.proofs.market import Market

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]

STEPS = 400


class Ears:
    """What those who look on in the rooms of a market know of its stock, and whether it is so."""

    def __init__(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        self.market = market
        self.known: dict[UUID, dict[str, tuple[int, Any]]] = dict(room_values(market.rooms))
        self._outcomes: list[Outcome] = []
        monkeypatch.setattr(execute, "_listeners", [self._outcomes.append])

    def wrong(self) -> list[str]:
        """What is known and not so, after all that was heard since the last time."""
        told: set[tuple[UUID, str]] = set()
        found = []
        for outcome in self._outcomes:
            for signal in outcome.signals:
                if signal.key.startswith("stock:"):
                    told.add((signal.stream_id, signal.key))
                    heard = self.known.setdefault(signal.stream_id, {})
                    if signal.version > heard.get(signal.key, (-1, None))[0]:
                        heard[signal.key] = signal.version, signal.value
            versions = {(s.stream_id, s.key): s.version for s in outcome.signals}
            for committed in outcome.committed:
                for event in committed.events:
                    if event.kind == "offer.claimed":
                        body = json.loads(event.wire)["body"]
                        key = committed.stream_id, f"stock:{body['offer']}"
                        if body["version"] != versions.get(key):
                            found.append(f"the log tells another count of {key} than the signal")
        self._outcomes.clear()
        truth = room_values(self.market.rooms)
        for room in self.market.rooms:
            there, heard = truth.get(room, {}), self.known.get(room, {})
            # those that are sold no more are forgotten with the event that says so
            self.known[room] = {key: value for key, value in heard.items() if key in there}
            found += [
                f"{key}: {heard.get(key)}, not {there[key]}" for key in there if heard.get(key) != there[key]
            ]
            found += [f"{key} is not on sale" for of, key in told if of == room and key not in there]
        return found


def requests_of(market: Market, chance: random.Random, lines: dict[UUID, list[str]]) -> list[Request]:
    """One command, or two for the same batch."""
    pick = chance.choice
    room = pick(market.rooms)
    offers = list(
        Offer.objects.filter(room_id=room, removed_at__isnull=True)
        .exclude(sale__state="ended")
        .order_by("id")
    )
    person = pick(market.people)
    offer = pick(offers).id if offers else room
    mine = pick(lines.get(person) or [str(room)])

    def build(name: str, actor: UUID = market.owner, stream: UUID = room, /, **body: Any) -> Request:
        raw = json.dumps(body, default=str).encode()
        return execute.build(stream, name, raw, actor_id=actor)

    def claim(qty: int) -> Request:
        return build("claim.place", person, offer=offer, qty=qty)

    drop = {"offer": offer, "allotment": chance.randint(1, 3), "duration_seconds": 10, "price_minor": 100}
    choices = {
        "claim": (8, lambda: [claim(chance.randint(1, 3))]),
        "cancel": (4, lambda: [build("claim.cancel", person, line=mine)]),
        "open": (3, lambda: [build("drop.open", **drop)]),
        "open and claim": (2, lambda: [build("drop.open", **drop), claim(1)]),
        "close": (2, lambda: [build("drop.close", offer=offer)]),
        "close and claim": (2, lambda: [build("drop.close", offer=offer), claim(1)]),
        "adjust": (
            2,
            lambda: [build("stock.adjust", market.owner, market.shop, variant=market.variant, delta=1)],
        ),
        "remove": (1, lambda: [build("offer.remove", offer=offer)]),
        "add": (3, lambda: [build("offer.add", variant=market.variant, open=True, waitlist_cap=3)]),
        "end": (1, lambda: [build("sale.end")]),
        "plan": (2, lambda: [build("sale.schedule", title="Again"), build("sale.start")]),
    }
    (name,) = chance.choices(list(choices), [weight for weight, _ in choices.values()])
    return choices[name][1]()


def steps(market: Market, ears: Ears, seed: int) -> dict[str, int]:
    """Do things at random; how often each was done. Raises at the first that rooms are told wrongly of."""
    chance, lines, done = random.Random(seed), dict[UUID, list[str]](), dict[str, int]()
    with clock.frozen() as time:
        for step in range(STEPS):
            if chance.random() < 0.15:
                time.advance(chance.choice([1, 11, 700]))
                pump.pump_until_quiet()
                done["time"] = done.get("time", 0) + 1
                requests = []
            else:
                requests = requests_of(market, chance, lines)
                execute.execute_all(requests)
            for request in requests:
                if request.answer is not None:
                    done[request.spec.name] = done.get(request.spec.name, 0) + 1
                    if request.answer.get("line"):
                        lines.setdefault(request.actor_id, []).append(request.answer["line"])
            wrong = ears.wrong()
            assert not wrong, (step, [r.spec.name for r in requests], wrong)
    return done


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rooms_hear_at_once_what_is_there(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market.open(rooms=2, people=6, stock=8, waitlist_cap=3)
    done = steps(market, Ears(market, monkeypatch), seed)
    assert {"drop.open", "drop.close", "offer.remove", "offer.add", "sale.end", "time"} <= done.keys(), done
    assert done["claim.place"] > 10, done


def test_that_nobody_says_where_an_offer_draws_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without it, rooms hear of a drop's units with the first claim."""
    monkeypatch.setattr(Goods, "draws_on", lambda *_: None)
    market = Market.open(rooms=2, people=6, stock=8, waitlist_cap=3)
    with pytest.raises(AssertionError, match=r"stock:.*not \("):
        steps(market, Ears(market, monkeypatch), 1)


def test_a_drop_that_is_sold_out_leaves_the_offer_with_what_was_not_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool that the offer draws on again has not changed: its count is told all the same."""
    market = Market.open(people=2, stock=8)
    ears = Ears(market, monkeypatch)
    room, offer = market.rooms[0], market.offers[0]
    market.do(room, "drop.open", offer=str(offer), allotment=2, duration_seconds=10, price_minor=100)
    market.do(room, "claim.place", market.people[0], offer=str(offer), qty=2)
    market.do(room, "drop.close", offer=str(offer))
    assert ears.wrong() == []
    ((_, value),) = ears.known[room].values()
    assert value == {"free": 6, "held": 0, "sold": 0, "waiting": 0}
    assert Offer.objects.filter(id=offer, pool_id=F("base_pool_id")).exists()
