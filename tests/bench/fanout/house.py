"""People and rooms for our servers, made in a process beside them: `python -m tests.bench.fanout.house`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Guests:
    """Who is about to come, and where to."""

    rooms: list[str]
    tokens: list[str]
    """A resume token per person: what a client that was here before connects with."""
    heads: list[tuple[int, int]]
    """(seq, epoch) per room, where its log stands: who says it on joining has missed nothing and gets no snapshot."""


class House:
    """The asking end, over pipes."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fanout.house"],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def prepare(self, *, people: int, rooms: int) -> Guests:
        """New open rooms, and that many people who are signed in by the time they enter."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"people": people, "rooms": rooms}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that makes people and rooms has ended")
        return Guests(**json.loads(line))

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


# --- over there -----------------------------------------------------------------------------------------------------


def _serve() -> None:
    import django

    django.setup()
    from uuid import uuid4

    from chat.log import clock, reading, registry
    from chat.realtime.identity import Identity
    from chat.rooms.services import create_room
    from livesale.accounts.identity import ProjectIdentities
    from livesale.accounts.models import User

    registry.load()
    known: list[User] = []
    for line in sys.stdin:
        wanted = json.loads(line)
        fresh = [
            User(email=f"{uuid4().hex}@example.org", name=f"Person {number}", password="!")
            for number in range(len(known), wanted["people"])
        ]
        known += User.objects.bulk_create(fresh, batch_size=1_000)
        owner = User.objects.create_user(f"{uuid4().hex}@example.org", None, name="Owner")
        rooms = [
            create_room(
                tenant_id=uuid4(),
                kind="group",
                name=f"Room {number}",
                owner_id=owner.id,
                now=clock.now(),
                open=True,
            )
            for number in range(wanted["rooms"])
        ]
        identities = ProjectIdentities()
        tokens = [
            identities.resume_token(Identity(user.id, user.name, user.auth_version))
            for user in known[: wanted["people"]]
        ]
        positions = reading.positions(rooms)
        heads = [(positions[room].seq, positions[room].epoch) for room in rooms]
        print(json.dumps({"rooms": rooms, "tokens": tokens, "heads": heads}, default=str), flush=True)


if __name__ == "__main__":
    _serve()
