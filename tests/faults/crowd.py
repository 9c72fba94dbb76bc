"""Who is there, and what they do at random: talk, claim, pay, read and moderate."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.history import Body, Command, History
from tests.faults.people import MOST_OPEN, Member, Person, Requester, request
from tests.faults.scene import Scene
from tests.faults.site import Site


class Crowd:
    """Everybody, and what they have in common."""

    def __init__(self, site: Site, scene: Scene, history: History, chance: random.Random) -> None:
        self.site = site
        self.scene = scene
        self.history = history
        self.chance = chance
        self.over = False
        self.acting = asyncio.Event()
        self.members: list[Member] = []
        self.readers: list[Member] = []
        self.requesters: list[Requester] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._said: deque[tuple[str, str, str]] = deque(maxlen=200)
        self._posted = 0

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.history.blame("error", f"somebody of the crowd failed: {type(error).__name__}: {error}")

    async def come(self, *, actors: int, readers: int, requesters: int, pause: float) -> None:
        """Everybody enters and begins."""
        scene = self.scene
        people = iter(scene.market["people"])
        rooms = scene.rooms
        self.acting.set()
        for n in range(actors):
            member = Member(self, next(people), [rooms[n % 2]], n, name=f"actor {n}")
            self.members.append(member)
        for n in range(readers):
            # every other one is a guest
            who = next(people) if n % 2 else ""
            self.readers.append(Member(self, who, rooms, n, name=f"reader {n}", keep=True))
        owner = Member(self, scene.market["owner"], rooms, 0, name="owner")
        self.members.append(owner)
        for n in range(requesters):
            person = next(people)
            session = await asyncio.to_thread(scene.stage.session, person=person)
            self.requesters.append(Requester(self, person, session, n))
        for member in [*self.members, *self.readers]:
            self.spawn(member.live())
            await asyncio.sleep(0.01)
        for actor in [m for m in self.members if m is not owner] + self.requesters:
            self.spawn(self._act(actor, pause))
        self.spawn(self._rule(owner))

    # --- habits ---------------------------------------------------------------------------------------------------

    async def _act(self, person: Member | Requester, pause: float) -> None:
        chance = person.chance
        lines: deque[tuple[str, str]] = deque(maxlen=4)
        room_of = dict(zip(self.scene.rooms, self.scene.market["offers"], strict=True))
        habits: list[tuple[float, Callable[[str], Awaitable[None]]]] = []

        async def talk(room: str) -> None:
            done = await person.begin(room, "message.send", {"text": f"word {chance.random():.9f}"})
            if done.answer:
                self._said.append((room, done.answer["message"], person.person))

        async def claim(room: str) -> None:
            qty = 2 if chance.random() < 0.2 else 1
            body: Body = {"text": f"sold 12 x{qty}"}
            name = "say"
            if chance.random() < 0.7:
                name, body = "claim.place", {"offer": room_of[room], "qty": qty}
            done = await person.begin(room, name, body)
            answer = (done.answer or {}).get("claim", done.answer) or {}
            if answer.get("line"):
                lines.append((room, answer["line"]))
                if chance.random() < 0.25:
                    await self._pay(person, room, answer["order"])
            elif answer.get("wait") and chance.random() < 0.3:
                await person.begin(room, "claim.leave", {"waiting": answer["wait"]})

        async def give_back(room: str) -> None:
            if lines:
                where, line = lines.popleft()
                await person.begin(where, "claim.cancel", {"line": line})

        async def come_and_go(room: str) -> None:
            name = "member.leave" if chance.random() < 0.5 else "member.join"
            await person.begin(room, name, {})

        async def take_back(room: str) -> None:
            mine = [(r, m) for r, m, who in self._said if who == person.person]
            if mine:
                where, message = chance.choice(mine)
                await person.begin(where, "message.delete", {"message": message})

        habits = [(0.38, talk), (0.4, claim), (0.12, give_back), (0.05, come_and_go), (0.05, take_back)]
        await asyncio.sleep(chance.uniform(0, pause))
        while not self.over:
            await asyncio.sleep(chance.expovariate(1 / pause))
            await self.acting.wait()
            if len(person.open) < MOST_OPEN:
                (act,) = chance.choices([a for _, a in habits], [w for w, _ in habits])
                # not waited for: a phone lets one go on while an answer is late
                self.spawn(act(chance.choice(self.scene.rooms)))

    async def _pay(self, person: Person, room: str, order: str) -> None:
        contact = {"name": "A. Buyer", "street": "Quay 1", "postcode": "1", "city": "Port", "country": "NL"}
        delivered = await person.begin(
            room, "order.deliver", {"order": order, "option": self.scene.delivery, "contact": contact}
        )
        if delivered.answer is None:
            return
        paying = await person.begin(room, "order.pay", {"order": order, "gateway": "sandbox"})
        if paying.answer is None or not paying.answer.get("attempt"):
            return
        await self._report(person, paying.answer)
        if person.chance.random() < 0.3:
            # gateways say things twice
            await self._report(person, paying.answer)

    async def _report(self, person: Person, paying: Body) -> None:
        """What the gateway does when somebody has paid: again and again until it is taken."""
        self._posted += 1
        kind = "succeeded" if person.chance.random() < 0.85 else "failed"
        body = json.dumps(
            {
                "id": f"event-{paying['attempt']}-{kind}",
                "kind": kind,
                "attempt": paying["attempt"],
                "amount_minor": paying["amount_minor"],
                "currency": paying["currency"],
            }
        ).encode()
        secret = self.site.env["SECRET_KEY"].encode()
        for n in range(200):
            at = int(time.time())
            digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
            seats = self.site.seats
            try:
                status, said = await request(
                    seats[(person._at + n) % len(seats)],
                    "POST",
                    "/webhooks/sandbox/",
                    body,
                    {"X-Sandbox-Signature": f"t={at},v1={digest}", "Content-Type": "application/json"},
                )
            except (OSError, TimeoutError, EOFError, ValueError):
                self.history.counts["webhooks lost"] += 1
            else:
                if status == 200:
                    self.history.counts["webhooks taken"] += 1
                    return
                if status == 400 and said.get("code") != "webhook.stale":
                    self.history.blame("error", f"a webhook was answered {status} {said}")
                    return
                self.history.counts[f"webhook {status}"] += 1
            await asyncio.sleep(min(0.1 * 2**n, 2.0))

    async def _rule(self, owner: Member) -> None:
        """The shop's owner: brings goods, deletes, pins, shuts people out for a while."""
        chance = owner.chance
        market = self.scene.market
        while not self.over:
            await asyncio.sleep(chance.uniform(0.3, 1.2))
            await self.acting.wait()
            if len(owner.open) >= MOST_OPEN:
                continue
            act = chance.choice(["goods", "delete", "pin", "timeout", "ban", "report"])
            room = chance.choice(self.scene.rooms)
            if act == "goods":
                self.spawn(
                    self._settled(
                        owner.begin(
                            market["shop"], "stock.adjust", {"variant": market["variant"], "delta": 10}
                        )
                    )
                )
            elif act in {"delete", "pin"} and self._said:
                where, message, _ = chance.choice(self._said)
                self.spawn(self._settled(owner.begin(where, f"message.{act}", {"message": message})))
            elif act == "timeout":
                person = chance.choice(market["people"])
                body = {"person": person, "seconds": 10}
                self.spawn(self._settled(owner.begin(room, "member.timeout", body)))
            elif act == "ban":
                self.spawn(self._shut_out(owner, room, chance.choice(market["people"])))

    async def _settled(self, done: asyncio.Future[Command]) -> None:
        await done

    async def _shut_out(self, owner: Member, room: str, person: str) -> None:
        """Banned for a few seconds."""
        done = await owner.begin(room, "member.ban", {"person": person})
        if done.answer is not None:
            await asyncio.sleep(3)
            await owner.begin(room, "member.unban", {"person": person})

    # --- the end --------------------------------------------------------------------------------------------------

    @property
    def everybody(self) -> list[Person]:
        return [*self.members, *self.readers, *self.requesters]

    async def fall_silent(self, seconds: float) -> None:
        """Nobody begins anything new; what is open gets its answer, or is blamed."""
        self.acting.clear()
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(p.open for p in self.everybody):  # noqa: ASYNC110 - once
            await asyncio.sleep(0.1)
        for person in self.everybody:
            for command in person.open.values():
                self.history.blame(
                    "unanswered", f"{command.name} {command.id} after {seconds:g} s", command.first_at
                )

    async def say_again(self, each: int) -> int:
        """Everybody sends some of what they had an answer to once more, at whichever process they are now."""
        mine: dict[str, list[Command]] = {}
        for command in self.history.acks():
            mine.setdefault(command.person, []).append(command)

        async def repeat(person: Person) -> int:
            done = person.chance.sample(
                mine.get(person.person, []), min(each, len(mine.get(person.person, [])))
            )
            for command in done:
                try:
                    async with asyncio.timeout(30):
                        await person.again(command)
                except TimeoutError:
                    self.history.blame("unanswered", f"{command.name} {command.id}, sent once more")
            return len(done)

        people = [p for p in self.everybody if p.person]
        return sum(await asyncio.gather(*(repeat(p) for p in people)))

    async def catch_up(self, heads: dict[str, int], seconds: float) -> None:
        """Readers must come to the end of the log."""
        until = time.monotonic() + seconds

        def behind() -> list[str]:
            return [
                f"{r.name} stands at {j.position} of {heads[s]}"
                for r in self.readers
                for s, j in r.journals.items()
                if j.position is None or j.position < heads[s]
            ]

        while behind() and time.monotonic() < until:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.1)
        for text in behind():
            self.history.blame("gap", f"{text} after {seconds:g} s of quiet")

    async def go(self) -> None:
        self.over = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
