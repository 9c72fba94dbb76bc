"""People of a sale over sockets and REST: what they sent is sent again until there is an answer, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests import services
from tests.faults.history import Body, Command, Journal
from tests.faults.site import Seat

if TYPE_CHECKING:
    from tests.faults.crowd import Crowd


# Nothing heard for so long: the link is given up. A command unanswered for longer goes to another process.
SILENCE = 5.0
MOVE_AFTER = 8.0
PING = 1.5
# Commands of one person that wait for an answer.
MOST_OPEN = 5
# Any token will do, as long as cookie and header are the same.
CSRF = "c" * 32


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
