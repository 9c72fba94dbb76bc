"""The demo's host as a script: shows the next thing, opens drops, answers, restocks; steps back for a real host."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from livesale.demo import goods, words
from livesale.demo.buyers import Crowd
from livesale.demo.link import Link, Refused
from livesale.demo.view import Offer, View

FEATURE_EVERY = 45.0
DROP_EVERY = 180.0
DROP_COUNTDOWN = 20
DROP_SECONDS = 60
ANSWER_EVERY = 10.0
PERSON_ANSWER_EVERY = 60.0
STEP_BACK = 300.0
RESTART_AFTER = 20.0
# An own command's events may come this much later or earlier than its answer, in seconds.
ECHO = 4.0

_HELLO = {t.code: t.hello for t in goods.THINGS}


class Autopilot:
    """Runs the sale over the host's own socket until somebody else does."""

    def __init__(
        self, crowd: Crowd, token: Callable[[], str], crowd_people: set[str], say: Callable[[str], None], *,
        drive: bool = True,
    ) -> None:  # fmt: skip
        self._crowd = crowd
        self._crowd_people = crowd_people
        self._print = say
        self._dice = random.Random()  # noqa: S311 - habits
        self._view = View(self._news)
        self._link = Link(crowd.socket, token, [crowd.room, crowd.shop], self._heard)
        self._products: list[dict[str, Any]] = []
        self._drive = drive
        self._expected: dict[str, float] = {}
        self._said: set[str] = set()
        self._drops: dict[str, float] = {}
        self._away_until = 0.0
        self._answered = self._answered_person = 0.0
        self._ended_at: float | None = None
        self._paused_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- hearing ------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _heard(self, stream: str, frame: dict[str, Any]) -> None:
        if stream == self._crowd.room:
            self._view.heard(frame)
        elif frame.get("snapshot"):
            self._products = frame["snapshot"]["public"]["products"]
        elif frame["type"] == "events":
            for event in frame["events"]:
                if event["kind"] == "product.changed":
                    body = event["body"]
                    self._products = [p for p in self._products if p["product"] != body["product"]]
                    self._products += [] if body["archived"] else [body]

    def _news(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "message.sent":
            self._message(body)
        elif kind in {"sale.changed", "offer.changed", "offer.removed", "offer.reordered"} and not self._own(
            kind, body
        ):
            self._step_back()
        if kind in {"snapshot", "offer.changed"}:
            self._drops |= {
                o["offer"]: o["drop"]["closes_at"] for o in self._view.offers.values() if o["drop"]
            }

    def _own(self, kind: str, body: dict[str, Any]) -> bool:
        """Whether a change was made by this script, or by time: a drop that was over."""
        if kind == "sale.changed":
            subjects = {f"{body['state']} {body['featured']}"}
        else:
            subjects = {body["offer"], body["variant"]} if kind == "offer.changed" else set()
        if any(self._expected.get(s, 0) > self._now() for s in subjects):
            return True
        if kind == "offer.changed" and body["drop"] is None:
            return self._drops.pop(body["offer"], float("inf")) <= self._view.now() + 500
        return False

    def _expect(self, name: str, body: dict[str, Any], seconds: float) -> None:
        """An own command's events, so that they are not taken for somebody else's."""
        sale = self._view.sale or {"state": "", "featured": None}
        state = {"sale.start": "live", "sale.resume": "live", "sale.schedule": "scheduled"}.get(
            name, sale["state"]
        )
        featured = body["offer"] if name in {"offer.feature", "drop.open"} else sale["featured"]
        for subject in (f"{state} {featured}", body.get("offer"), body.get("variant")):
            if subject:
                self._expected[subject] = self._now() + seconds

    def _step_back(self) -> None:
        if self._drive and self._now() >= self._away_until:
            self._print(
                "autopilot: somebody is hosting, stepping back until five minutes after their last change"
            )
        self._away_until = self._now() + STEP_BACK

    def _message(self, body: dict[str, Any]) -> None:
        if body["person"] == self._view.person:
            if body["text"] in self._said:
                self._said.discard(body["text"])
            elif self._drive:
                self._step_back()
            return
        answer = words.ANSWERS.get(body["text"])
        if body["person"] in self._crowd_people:
            if answer and self._now() - self._answered > ANSWER_EVERY / self._crowd.pace:
                self._answered = self._now()
                self._later(self._dice.uniform(3, 9), lambda: self._say(answer, body["message"]))
        elif "?" in body["text"] and self._now() - self._answered_person > PERSON_ANSWER_EVERY:
            self._answered_person = self._now()
            line = answer or self._dice.choice(words.TO_A_PERSON).format(
                name=body["name"].split()[0] or "you"
            )
            self._later(self._dice.uniform(3, 6), lambda: self._say(line, body["message"]))

    # --- acting -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            if self._drive:
                group.create_task(self._run_sale())

    def _later(self, seconds: float, act: Callable[[], Any]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds / self._crowd.pace)
            if self._drive and self._now() >= self._away_until:
                with suppress(Refused):
                    await act()

        task = asyncio.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, name: str, stream: str = "", **body: Any) -> dict[str, Any]:
        self._expect(name, body, 30)
        try:
            return await self._link.do(stream or self._crowd.room, name, body)
        finally:
            self._expect(name, body, ECHO)

    async def _say(self, text: str, reply_to: str | None = None) -> None:
        self._said.add(text)
        body = {"text": text} | ({"reply_to": reply_to} if reply_to else {})
        try:
            await self._link.do(self._crowd.room, "say", body)
        except Refused as refusal:
            if refusal.code != "lost":
                self._said.discard(text)

    async def _run_sale(self) -> None:
        await self._link.following.wait()
        feature_at = self._now() + FEATURE_EVERY / 2 / self._crowd.pace
        drop_at = self._now() + DROP_EVERY / 2 / self._crowd.pace
        running: Offer | None = None
        left = 0
        while not self._link.done:
            await asyncio.sleep(0.5)
            now = self._now()
            if not self._link.following.is_set() or now < self._away_until:
                running = None
                continue
            try:
                if not self._view.live:
                    await self._bring_back()
                    continue
                drop = self._near(self._view.drop())
                if running is not None and drop is None:
                    await self._after_drop(running, left)
                    feature_at = now + 4 / self._crowd.pace
                running = drop
                if drop is not None:
                    left = self._view.free(drop)
                    if self._view.featured is not drop:
                        await self._do("offer.feature", offer=drop["offer"])
                    continue
                if now >= drop_at and self._view.drop() is None:
                    drop_at = now + self._dice.uniform(0.8, 1.2) * DROP_EVERY / self._crowd.pace
                    await self._restock_if_needed()
                    await self._open_drop()
                elif now >= feature_at:
                    feature_at = now + self._dice.uniform(0.8, 1.2) * FEATURE_EVERY / self._crowd.pace
                    await self._restock_if_needed()
                    await self._feature_next()
            except Refused as refusal:
                await asyncio.sleep(refusal.retry_after or 2.0)

    def _near(self, drop: Offer | None) -> Offer | None:
        """The drop, once it is close enough to wait for."""
        return drop if drop and drop["drop"]["opens_at"] - self._view.now() < DROP_COUNTDOWN * 1000 else None

    async def _feature_next(self) -> None:
        """The next product of the queue of which something is left; all its variants open."""
        queue = self._view.queue()
        if not queue:
            return
        codes = list(dict.fromkeys(o["code"] for o in queue))
        featured = self._view.featured
        at = codes.index(featured["code"]) if featured and featured["code"] in codes else -1
        for code in [*codes[at + 1 :], *codes[: at + 1]]:
            some = [o for o in queue if o["code"] == code and not o["drop"]]
            best = max(some, key=self._view.free, default=None)
            if best is None or self._view.free(best) == 0:
                continue
            for offer in some:
                if offer["state"] != "open":
                    await self._do("offer.update", offer=offer["offer"], state="open")
            await self._do("offer.feature", offer=best["offer"])
            if hello := _HELLO.get(code):
                await self._say(hello)
            return

    async def _open_drop(self) -> None:
        choice = [o for o in self._view.queue() if self._view.free(o) >= 3 and not o["drop"]]
        if not choice:
            return
        offer = self._dice.choice(choice)
        units = min(self._view.free(offer), self._dice.randint(3, 5) + self._view.free(offer) // 6)
        price = max(1, round(offer["price_minor"] * 0.8 / 50) * 50)
        await self._do(
            "drop.open",
            offer=offer["offer"],
            allotment=units,
            duration_seconds=DROP_SECONDS,
            countdown_seconds=DROP_COUNTDOWN,
            limit=2,
            price_minor=price,
            waitlist_cap=20,
        )
        thing = f"{offer['title']} {offer['label']}".strip()
        shown = f"{price / 100:.2f} {offer['currency']}"
        await self._say(
            words.DROP_COMING.format(seconds=DROP_COUNTDOWN, thing=thing, price=shown, units=units)
        )

    async def _after_drop(self, drop: Offer, left: int) -> None:
        await asyncio.sleep(1.5)
        after = self._view.offers.get(drop["offer"])
        if after is not None and after["state"] == "closed":
            await self._do("offer.update", offer=drop["offer"], state="open")
        units = drop["drop"]["allotment"]
        await self._say(words.DROP_OVER.format(sold=units - left, units=units))

    async def _restock_if_needed(self) -> None:
        """When nearly nothing is left to sell, fill every variant up."""
        units = {(p["code"], v["label"]): v["variant"] for p in self._products for v in p["variants"]}
        wanted = {(t.code, label): stock for t in goods.THINGS for label, _, stock in t.variants}
        free = sum(self._view.free(o) for o in self._view.offers.values())
        if free > sum(wanted.values()) * 0.12:
            return
        by_variant = {o["variant"]: self._view.free(o) for o in self._view.offers.values()}
        for key, variant in units.items():
            missing = wanted.get(key, 0) - by_variant.get(variant, 0)
            if missing > 0:
                await self._do(
                    "stock.adjust", stream=self._crowd.shop, variant=variant, delta=missing, reason="demo"
                )
        await self._say(words.RESTOCKED)

    async def _bring_back(self) -> None:
        """Start what is planned, resume what is paused, begin anew what has ended."""
        sale = self._view.sale
        if self._ended_at is None:
            self._ended_at = self._now()
        if sale is not None and sale["state"] == "paused":
            await self._do("sale.resume")
        elif sale is not None:
            await self._do("sale.start")
        elif self._now() - self._ended_at < RESTART_AFTER / self._crowd.pace:
            return
        else:
            await self._new_sale()
        self._ended_at = None

    async def _new_sale(self) -> None:
        poster = f"/media/shops/{self._crowd.shop}/media/{self._crowd.room}/poster.webp"
        video = {"kind": "mp4", "url": "", "poster": poster}
        await self._do("sale.schedule", title=goods.SALE_TITLE, video=video)
        order = [t.code for t in goods.THINGS]
        for product in sorted(self._products, key=lambda p: (p["code"] not in order, p["code"])):
            for variant in product["variants"]:
                opened = product["code"] in goods.OPEN_AT_ONCE
                with suppress(Refused):
                    await self._do("offer.add", variant=variant["variant"], open=opened, waitlist_cap=30)
        await self._do("sale.start")
        await self._say(words.BACK_LIVE)
        await self._feature_next()
