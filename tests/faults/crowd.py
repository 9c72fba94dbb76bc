"""People of a sale who talk, claim, pay and moderate over sockets and REST, whatever happens to the servers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests import services
from tests.faults.history import Body, Command, History, Journal
from tests.faults.site import Seat, Site
from tests.proofs.stage import Stage

# Nothing heard for so long: the link is given up. A command unanswered for longer goes to another process.
SILENCE = 5.0
MOVE_AFTER = 8.0
PING = 1.5
# Commands of one person that wait for an answer.
MOST_OPEN = 5
# Any token will do, as long as cookie and header are the same.
CSRF = "c" * 32


class Scene:
    """The shop, its rooms and people, and how they are asked for tickets."""

    def __init__(self, stage: Stage, *, people: int, stock: int, hold: int) -> None:
        self.stage = stage
        self.market = stage.open_market(
            name="Market", rooms=2, people=people, stock=stock, waitlist_cap=20, hold_for=hold
        )
        self.quiet = stage.open_market(name="Probes", rooms=1, people=8, stock=1_000_000, hold_for=1)
        self.delivery = stage.delivery_option(shop=self.market["shop"])
        self.people = [*self.market["people"], *self.quiet["people"], self.market["owner"]]
        # rows that setting the scene has left
        self.before: dict[str, int] = stage.rows(people=self.people)

    @property
    def rooms(self) -> list[str]:
        return list(self.market["rooms"])

    async def ticket(self, person: str) -> str:
        try:
            made = await asyncio.to_thread(self.stage.tickets, people=[person])
        except RuntimeError as error:
            raise EOFError("no ticket while the database is away") from error
        return str(made[0])


class Person:
    """What everybody does: keeps what is open, and sends it again until there is an answer."""

    def __init__(self, crowd: Crowd, person: str, at: int) -> None:
        self.crowd = crowd
        self.history = crowd.history
        self.chance = random.Random(crowd.chance.random())
        self.person = person
        self._at = at
        self.open: dict[str, Command] = {}
        self._waiting: dict[str, asyncio.Future[Command]] = {}

    @property
    def seat(self) -> Seat:
        seats = self.crowd.site.seats
        return seats[self._at % len(seats)]

    def begin(self, stream: str, name: str, body: Body) -> asyncio.Future[Command]:
        command = self.history.new(self.person, stream, name, body)
        return self.again(command)

    def again(self, command: Command) -> asyncio.Future[Command]:
        self.open[command.id] = command
        done = self._waiting[command.id] = asyncio.get_running_loop().create_future()
        return done

    def acknowledged(self, client_id: str, answer: Body, repeated: bool) -> None:
        self._settle(client_id, lambda c: self.history.acknowledged(c, answer, repeated))

    def refused(self, client_id: str, code: str) -> None:
        self._settle(client_id, lambda c: self.history.refuse(c, code))

    def _settle(self, client_id: str, note: Callable[[Command], None]) -> None:
        """The answer to a command that may be open, or may have been answered before."""
        command = self.open.pop(client_id, None) or self.history.commands.get(client_id)
        if command is None:
            return
        note(command)
        done = self._waiting.pop(client_id, None)
        if done is not None and not done.done():
            done.set_result(command)


class Member(Person):
    """One person (or a guest: '') on one socket, which is replaced by one to another process whenever it is lost."""

    def __init__(
        self, crowd: Crowd, person: str, streams: list[str], at: int, *, name: str, keep: bool = False
    ) -> None:
        super().__init__(crowd, person, at)
        self.name = name
        self.journals = {s: Journal(self.history, name, s, keep) for s in streams}
        # streams that were asked for on this link, and those that are heard
        self._asked: set[str] = set()
        self._inside: set[str] = set()
        # commands that are on their way on this link: a second sending of one might be judged otherwise
        self._sent: set[str] = set()
        self._auth: Body = {}
        self._link: ClientConnection | None = None
        self._ready = False
        self.heard_at = time.monotonic()

    # --- the link -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Lose the link without a word."""
        if self._link is not None:
            self._link.transport.abort()

    async def live(self) -> None:
        while not self.crowd.over:
            try:
                async with connect(
                    f"{self.seat.process.ws_url}/ws/",
                    proxy=None,
                    compression=None,
                    ping_interval=None,
                    open_timeout=SILENCE,
                    close_timeout=1,
                ) as link:
                    self._link = link
                    await self._begin(link)
                    await self._stay(link)
            except (OSError, ConnectionClosed, TimeoutError, WebSocketException, EOFError):
                self.history.counts["links lost"] += 1
            self._link, self._ready = None, False
            self._inside.clear()
            self._asked.clear()
            self._sent.clear()
            self._at += self.chance.choice((1, 1, 2))
            await asyncio.sleep(self.chance.uniform(0.02, 0.4))

    async def _begin(self, link: ClientConnection) -> None:
        if self.person:
            if not self._auth:
                self._auth = {"ticket": await self.crowd.scene.ticket(self.person)}
            await self._say(link, {"type": "auth", **self._auth})
            while not self._ready:
                await self._hear(await self._next(link))
        self._ready = True
        await self._enter(link)
        for command in list(self.open.values()):
            await self._send(link, command)

    async def _enter(self, link: ClientConnection) -> None:
        wanted = []
        for stream, journal in self.journals.items():
            if stream not in self._inside and stream not in self._asked:
                self._asked.add(stream)
                where: Body = {"stream": stream}
                if journal.position is not None:
                    where |= {"after": journal.position, "epoch": journal.epoch}
                wanted.append(where)
        if wanted:
            await self._say(link, {"type": "join", "streams": wanted})

    async def _stay(self, link: ClientConnection) -> None:
        beat = asyncio.create_task(self._beat(link))
        try:
            while True:
                await self._hear(await self._next(link))
        finally:
            beat.cancel()

    async def _beat(self, link: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(PING)
                await self._say(link, {"type": "ping"})
                await self._enter(link)
                late = time.monotonic() - MOVE_AFTER
                if any(c.first_at < late for c in self.open.values()) and self.chance.random() < 0.2:
                    self.history.counts["moved with an open command"] += 1
                    link.transport.abort()

    async def _next(self, link: ClientConnection) -> Body:
        async with asyncio.timeout(SILENCE):
            frame: Body = json.loads(await link.recv())
        self.heard_at = time.monotonic()
        return frame

    async def _say(self, link: ClientConnection, frame: Body) -> None:
        await link.send(json.dumps(frame))

    async def _send(self, link: ClientConnection, command: Command) -> None:
        if link is not self._link or command.id in self._sent or command.id not in self.open:
            return
        self._sent.add(command.id)
        command.times += 1
        await self._say(
            link,
            {
                "type": "do",
                "id": command.id,
                "stream": command.stream,
                "name": command.name,
                "body": command.body,
            },
        )

    async def _hear(self, frame: Body) -> None:
        match frame["type"]:
            case "hello" if frame.get("you"):
                self._auth, self._ready = {"resume": frame["resume"]}, True
            case "beat" if frame.get("resume"):
                self._auth = {"resume": frame["resume"]}
            case "joined":
                self._inside.add(frame["stream"])
                self.journals[frame["stream"]].joined(frame)
                self.history.counts[f"joined by {frame['mode']}"] += 1
            case "events":
                self.journals[frame["stream"]].events(frame)
            case "left":
                self._inside.discard(frame["stream"])
                self._asked.discard(frame["stream"])
                self.history.counts[f"left: {frame['code']}"] += 1
            case "ack":
                self._sent.discard(frame["id"])
                self.acknowledged(frame["id"], frame["answer"], frame.get("repeated", False))
            case "error":
                await self._hear_error(frame)

    async def _hear_error(self, frame: Body) -> None:
        self.history.counts[f"error {frame['code']}"] += 1
        if frame["code"] == "auth.failed":
            self._auth = {}
            raise EOFError
        if frame.get("temporary"):
            if frame.get("id"):
                self._sent.discard(frame["id"])
                wait = min(frame.get("retry_after") or 0.2, 3.0)
                asyncio.get_running_loop().call_later(wait, self._once_more, frame["id"])
        elif frame.get("id"):
            self._sent.discard(frame["id"])
            self.refused(frame["id"], frame["code"])
        else:
            self.history.blame("error", f"{self.name} was told {frame}")

    def _once_more(self, client_id: str) -> None:
        command, link = self.open.get(client_id), self._link
        if command is not None and link is not None and self._ready:
            self.crowd.spawn(self._quietly(link, command))

    async def _quietly(self, link: ClientConnection, command: Command) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._send(link, command)

    # --- what people do -------------------------------------------------------------------------------------------

    def again(self, command: Command) -> asyncio.Future[Command]:
        done = super().again(command)
        if self._link is not None and self._ready:
            self.crowd.spawn(self._quietly(self._link, command))
        return done


class Requester(Person):
    """One person who uses requests only."""

    def __init__(self, crowd: Crowd, person: str, session: str, at: int) -> None:
        super().__init__(crowd, person, at)
        self._session = session

    def again(self, command: Command) -> asyncio.Future[Command]:
        done = super().again(command)
        self.crowd.spawn(self._until_answered(command))
        return done

    async def _until_answered(self, command: Command) -> None:
        while command.id in self.open:
            command.times += 1
            wait = 0.2
            try:
                status, said = await request(
                    self.seat,
                    "POST",
                    f"/api/v1/streams/{command.stream}/commands/{command.name}/",
                    json.dumps(command.body).encode(),
                    {
                        "Cookie": f"sessionid={self._session}; csrftoken={CSRF}",
                        "X-CSRFToken": CSRF,
                        "Origin": self.seat.process.origin,
                        "Idempotency-Key": command.id,
                        "Content-Type": "application/json",
                    },
                )
            except (OSError, TimeoutError, EOFError, ValueError):
                self.history.counts["requests lost"] += 1
                self._at += 1
            else:
                if status == 200:
                    self.acknowledged(command.id, said["answer"], said["repeated"])
                elif said.get("temporary"):
                    wait = min(said.get("retry_after") or 0.2, 3.0)
                    self._at += 1
                elif status in {401, 500} and not said.get("code", "").startswith("server.error"):
                    self._at += 1
                else:
                    self.refused(command.id, said.get("code", f"status {status}"))
            await asyncio.sleep(wait)


async def request(
    seat: Seat, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, Any]:
    """Status and JSON of an answer; what is cut short raises."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(services.HOST, seat.process.port)
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {services.HOST}:{seat.process.port}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.transport.abort()
    head, _, text = answer.partition(b"\r\n\r\n")
    if not head:
        raise EOFError("no answer")
    status = int(head.split()[1])
    return status, json.loads(text) if text else {}


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


class Probe:
    """Asks a process, by a socket of its own each time, to carry out a fresh command."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._people = crowd.scene.quiet["people"]
        self._auth: dict[str, Body] = {}
        self.left: list[Command] = []

    async def recovered(self, seats: list[Seat], seconds: float) -> dict[str, float]:
        """How long until each of them has acknowledged a fresh command; `seconds` when it never did."""
        began = time.monotonic()

        async def one(n: int, seat: Seat) -> float:
            until = began + seconds
            while (now := time.monotonic()) < until:
                if await self.ask(seat, self._people[n % len(self._people)]):
                    return time.monotonic() - began
                await asyncio.sleep(max(0.0, 0.05 - (time.monotonic() - now)))
            return seconds

        found = await asyncio.gather(*(one(n, seat) for n, seat in enumerate(seats)))
        return {seat.name: took for seat, took in zip(seats, found, strict=True)}

    async def ask(self, seat: Seat, person: str, command: Command | None = None) -> bool:
        market, history = self._crowd.scene.quiet, self._crowd.history
        if command is None:
            command = history.new(
                person, market["rooms"][0], "claim.place", {"offer": market["offers"][0], "qty": 1}
            )
            self.left.append(command)
        try:
            async with (
                asyncio.timeout(3),
                connect(
                    f"{seat.process.ws_url}/ws/", proxy=None, compression=None, ping_interval=None
                ) as link,
            ):
                auth = self._auth.get(person) or {"ticket": await self._crowd.scene.ticket(person)}
                await link.send(json.dumps({"type": "auth", **auth}))
                do = {
                    "type": "do",
                    "id": command.id,
                    "stream": command.stream,
                    "name": command.name,
                    "body": command.body,
                }
                while True:
                    frame = json.loads(await link.recv())
                    if frame["type"] == "hello" and frame.get("you"):
                        self._auth[person] = {"resume": frame["resume"]}
                        command.times += 1
                        await link.send(json.dumps(do))
                    elif frame["type"] == "error":
                        if frame["code"] == "auth.failed":
                            self._auth.pop(person, None)
                        elif frame.get("id") == command.id and not frame.get("temporary"):
                            history.refuse(command, frame["code"])
                            self.left.remove(command)
                        return False
                    elif frame["type"] == "ack":
                        history.acknowledged(command, frame["answer"], frame.get("repeated", False))
                        self.left.remove(command)
                        return True
        except (OSError, ConnectionClosed, TimeoutError, WebSocketException, EOFError):
            return False

    async def settle(self, seconds: float) -> None:
        """What the probes never heard of becomes definite, too."""
        # nobody can have heard of those whose process was not there to be asked
        self.left = [command for command in self.left if command.times]
        until = time.monotonic() + seconds
        for command in list(self.left):
            while command in self.left and time.monotonic() < until:
                await self.ask(self._crowd.site.seats[0], command.person, command)
        for command in self.left:
            self._crowd.history.blame(
                "unanswered", f"probe {command.id} after {seconds:g} s", command.first_at
            )
