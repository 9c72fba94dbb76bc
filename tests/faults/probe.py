"""How soon a process carries out commands again."""

from __future__ import annotations

import asyncio
import json
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.faults.crowd import Crowd
from tests.faults.history import Body, Command
from tests.faults.site import Seat


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
