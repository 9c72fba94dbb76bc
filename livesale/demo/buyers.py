"""One synthetic buyer: talks, claims by typing and by button, waits, extends, gives back, chooses delivery, pays."""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from commerce.payments.sandbox import sign, webhook_body
from livesale.demo import words
from livesale.demo.link import Link, Refused
from livesale.demo.people import Someone
from livesale.demo.view import Offer, View
from livesale.demo.words import Shown

# Seconds between two remarks of one person, and the least between any two lines of theirs (the room refuses 12 in 10).
REMARK_EVERY = 100.0
LINE_PAUSE = 4.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Crowd:
    """What all buyers share: where things are, how fast time goes, what has happened."""

    url: str
    room: str
    shop: str
    pace: float
    deliveries: list[dict[str, Any]]
    counts: Counter[str] = field(default_factory=Counter)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=40))

    @property
    def socket(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws/"


class Buyer:
    """A person of the crowd, with habits of their own."""

    def __init__(self, crowd: Crowd, who: Someone, token: Callable[[], str], number: int) -> None:
        self._crowd = crowd
        self._who = who
        self._dice = random.Random(f"{who.name} {number} {datetime.now(UTC).timestamp()}")  # noqa: S311 - habits
        self._view = View(self._news)
        self._link = Link(crowd.socket, token, [crowd.room], lambda _, frame: self._view.heard(frame))
        self._shown: str | None = None
        self._spoke = 0.0
        self._minding: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._eager = self._dice.uniform(0.15, 0.45)
        self._talkative = self._dice.uniform(0.5, 1.8)
        self._clicks = self._dice.random() < 0.5

    @property
    def online(self) -> bool:
        return self._link.following.is_set()

    # --- living -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._live())

    async def _live(self) -> None:
        await self._link.following.wait()
        with suppress(Refused):
            await self._do("member.join")
        if self._dice.random() < 0.5:
            await self._pause(self._dice.uniform(0.5, 12))
            await self._say(words.hello(self._who.language, self._who.city, self._dice))
        while not self._link.done:
            await self._pause(self._dice.expovariate(self._talkative / REMARK_EVERY))
            if self._view.live and self._link.following.is_set():
                if self._dice.random() < 0.3:
                    await self._browse()
                else:
                    await self._remark()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._crowd.pace)

    def _later(self, seconds: float, act: Callable[[], Any]) -> None:
        """Do something after a while of one's own."""

        async def wait() -> None:
            await self._pause(seconds)
            with suppress(Refused):
                await act()

        task = asyncio.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, name: str, **body: Any) -> dict[str, Any]:
        return await self._link.do(self._crowd.room, name, body)

    def _what(self) -> Shown:
        featured = self._view.featured
        return Shown(featured["code"], featured["title"]) if featured else Shown()

    def _line(self, lines: dict[str, tuple[str, ...]]) -> str:
        return words.pick(self._who.language, lines, self._dice)

    async def _remark(self) -> None:
        for _ in range(6):
            text = words.remark(self._who.language, self._what(), self._dice)
            if text not in self._crowd.said:  # nobody has said it just now
                await self._say(text)
                return

    async def _say(self, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._spoke < LINE_PAUSE:
            return
        self._spoke = now
        self._crowd.said.append(text)
        with suppress(Refused):
            await self._do("say", text=text)
            self._crowd.counts["messages"] += 1

    # --- hearing ------------------------------------------------------------------------------------------------

    def _news(self, kind: str, body: dict[str, Any]) -> None:
        if kind in {"snapshot", "sale.changed", "offer.changed"}:
            self._look()
        if kind == "snapshot":
            for order in list(self._view.orders.values()):
                self._mind(order)
        elif kind in {"order.changed", "claim.answered"}:
            self._mind(self._view.orders[body["order"]])

    def _look(self) -> None:
        """Something else is shown, or it became a drop."""
        offer = self._view.featured if self._view.live else None
        drop = offer["drop"] if offer else None
        key = f"{offer['offer']} {drop['opens_at'] if drop else ''}" if offer else None
        if key == self._shown or offer is None:
            self._shown = key
            return
        self._shown = key
        wanted = offer
        if drop:
            opens_in = (drop["opens_at"] - self._view.now()) / 1000
            if opens_in > 2 and self._dice.random() < 0.12:
                self._later_real(
                    self._dice.uniform(0.3, 0.9) * opens_in,
                    lambda: self._say(self._line(words.COUNTDOWN)),
                )
            if self._dice.random() < self._eager * 2.2:
                self._later_real(
                    max(0.0, opens_in) + self._dice.expovariate(0.3), lambda: self._claim(wanted)
                )
        else:
            if self._dice.random() < self._eager:
                self._later(1.5 + self._dice.expovariate(1 / 14), lambda: self._claim(wanted))
            if self._dice.random() < 0.1 * self._talkative:
                self._later(2 + self._dice.expovariate(1 / 9), self._remark)

    def _later_real(self, seconds: float, act: Callable[[], Any]) -> None:
        """After so many seconds of the clock on the wall, which a drop's countdown follows whatever the pace."""
        self._later(seconds * self._crowd.pace, act)

    # --- claiming -----------------------------------------------------------------------------------------------

    async def _browse(self) -> None:
        """Want something else than what is shown."""
        choice = [o for o in self._view.offers.values() if self._view.open_now(o)]
        if choice:
            await self._claim(self._dice.choice(choice))

    async def _claim(self, offer: Offer) -> None:
        offer = self._view.offers.get(offer["offer"], offer)
        if not self._view.live or not self._view.open_now(offer):
            return
        if self._view.free(offer) == 0 and (offer["waitlist_cap"] == 0 or self._dice.random() < 0.6):
            return
        qty = 2 if offer["limit"] != 1 and self._dice.random() < 0.16 else 1
        try:
            if self._clicks or self._dice.random() < 0.25:
                answer = await self._do("claim.place", offer=offer["offer"], qty=qty)
            else:
                featured = self._view.featured is not None and self._view.featured["offer"] == offer["offer"]
                text = words.typed_claim(
                    self._who.language, offer["code"], offer["label"], qty, featured, self._dice
                )
                answer = (await self._do("say", text=text)).get("claim") or {}
        except Refused as refusal:
            if refusal.code == "claim.sold_out" and self._dice.random() < 0.2:
                self._later(2, lambda: self._say(self._line(words.MISSED)))
            return
        self._crowd.counts["claims"] += 1
        self._crowd.counts["units"] += answer.get("got", 0)
        self._crowd.counts["waiting"] += answer.get("waiting", 0)
        if answer.get("got") and self._dice.random() < 0.14:
            self._later(2, lambda: self._say(self._line(words.GOT)))
        elif answer.get("place") and self._dice.random() < 0.3:
            line = self._line(words.WAITING).format(place=answer["place"])
            self._later(2, lambda: self._say(line))

    # --- baskets ------------------------------------------------------------------------------------------------

    def _mind(self, order: dict[str, Any]) -> None:
        """Decide once what becomes of a basket, of an offered turn, of a place in the line."""
        held = [line for line in order["lines"] if line["state"] == "held"]
        if order["state"] == "open" and held and order["order"] not in self._minding:
            self._minding.add(order["order"])
            self._later(self._dice.uniform(15, 110), lambda: self._settle(order["order"]))
        for line in held:
            if line["turn"] and line["line"] not in self._minding:
                self._minding.add(line["line"])
                if self._dice.random() < 0.15:
                    self._later(self._dice.uniform(4, 25), partial(self._do, "claim.pass", line=line["line"]))
                elif self._dice.random() < 0.3:
                    self._later(2, lambda: self._say(self._line(words.TURN)))
        for entry in order["waiting"]:
            if entry["waiting"] not in self._minding:
                self._minding.add(entry["waiting"])
                if self._dice.random() < 0.15:
                    self._later(
                        self._dice.uniform(60, 240),
                        partial(self._do, "claim.leave", waiting=entry["waiting"]),
                    )

    async def _settle(self, order_id: str) -> None:
        """Pay, keep it longer, give something back, or forget about it."""
        self._minding.discard(order_id)
        order = self._view.orders.get(order_id)
        held = [line for line in order["lines"] if line["state"] == "held"] if order else []
        if order is None or order["state"] != "open" or not held:
            return
        chance = self._dice.random()
        if chance < 0.08:
            self._minding.add(order_id)
        elif chance < 0.17:
            line = self._dice.choice(held)
            await self._do("claim.cancel", line=line["line"])
            self._crowd.counts["given back"] += line["qty"]
            if self._dice.random() < 0.4:
                await self._say(self._line(words.LET_GO))
        elif chance < 0.27 and not held[0]["extended"]:
            self._minding.add(order_id)
            self._later(self._dice.uniform(60, 200), lambda: self._settle(order_id))
            await self._do("claim.extend", line=held[0]["line"])
        else:
            self._minding.add(order_id)
            await self._pay(order_id)

    async def _pay(self, order_id: str) -> None:
        await self._do("order.deliver", order=order_id, **self._delivery())
        await self._pause(self._dice.uniform(2, 9))
        due = await self._do("order.pay", order=order_id, gateway="sandbox")
        for _ in range(3):
            if not due.get("attempt"):
                return
            await self._pause(self._dice.uniform(3, 14))
            kind = "failed" if self._dice.random() < 0.07 else "succeeded"
            await asyncio.to_thread(self._report, due, kind)
            if kind == "succeeded":
                self._crowd.counts["paid"] += 1
                if self._dice.random() < 0.12:
                    await self._say(self._line(words.PAID))
                return
            await self._pause(self._dice.uniform(4, 12))
            due = await self._do("order.pay", order=order_id, gateway="sandbox")

    def _delivery(self) -> dict[str, Any]:
        some = self._crowd.deliveries
        parcels = [d for d in some if d["kind"] == "delivery"]
        option = (
            self._dice.choice(parcels) if parcels and self._dice.random() < 0.8 else self._dice.choice(some)
        )
        who = self._who
        contact = {"name": who.name, "street": who.street, "postcode": who.postcode, "city": who.city}
        return {"option": option["option"], "contact": contact}

    def _report(self, due: dict[str, Any], kind: str) -> None:
        """What a gateway does after its page: a signed webhook."""
        body = webhook_body(
            event_id=f"demo-{due['attempt']}-{kind}",
            kind=kind,
            attempt_id=due["attempt"],
            amount_minor=due["amount_minor"],
            currency=due["currency"],
        )
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self._crowd.url}/webhooks/sandbox/",
            data=body,
            headers={"Content-Type": "application/json", **sign(body, datetime.now(UTC))},
        )
        with suppress(OSError), _direct.open(request, timeout=10):
            pass
