"""What a test needs done behind the back of running processes: people, rooms, tickets, sessions, log-outs.

A helper process with the processes' own environment and database, asked over pipes: `python -m tests.wire.backstage`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4


class Backstage:
    """The asking end. `backstage.ticket(person=…)` calls `ticket` of this module over there."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.wire.backstage"],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._turn = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            with self._turn:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                self._process.stdin.write(json.dumps([name, arguments], default=str) + "\n")
                self._process.stdin.flush()
                answer = json.loads(self._process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(f"backstage {name}: {answer['error']}")
            return answer["result"]

        return call

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


# --- over there -----------------------------------------------------------------------------------------------------


def person(name: str = "Somebody") -> str:
    from livesale.accounts.models import User

    return str(User.objects.create_user(f"{uuid4().hex}@example.org", None, name=name).id)


def ticket(person: str, origin: str = "") -> str:
    from livesale.accounts.identity import make_ticket

    return make_ticket(UUID(person), origin=origin)


def late_ticket(person: str) -> str:
    """A ticket whose time is over."""
    from datetime import timedelta

    from livesale.accounts.models import Ticket

    made = ticket(person)
    row = Ticket.objects.get(digest=Ticket.digest_of(made))
    row.expires_at -= timedelta(minutes=1)
    row.save()
    return made


def session(person: str) -> str:
    """The key of a signed-in browser's session."""
    from django.test import Client

    from livesale.accounts.models import User

    client = Client()
    client.force_login(User.objects.get(id=person), backend="django.contrib.auth.backends.ModelBackend")
    return str(client.cookies["sessionid"].value)


def end_session(key: str) -> None:
    from django.contrib.sessions.models import Session

    Session.objects.filter(session_key=key).delete()


def end_all_sessions(person: str) -> None:
    from django.db.models import F

    from livesale.accounts.models import User

    User.objects.filter(id=person).update(auth_version=F("auth_version") + 1)


def room(owner: str, open: bool = True, name: str = "A room", shop: str = "") -> str:
    """A room, of a shop that there is or of one that nobody has heard of."""
    from chat.log import clock
    from chat.rooms.services import create_room

    made = create_room(
        tenant_id=UUID(shop) if shop else uuid4(),
        kind="group",
        name=name,
        owner_id=UUID(owner),
        now=clock.now(),
        open=open,
    )
    return str(made)


def shop(owner: str) -> str:
    from livesale.backoffice.services import open_shop

    return str(open_shop(name="A shop", currency="EUR", owner_id=UUID(owner)).id)


def sister_room(room: str) -> str:
    """Another room of the same shop, with the same owner."""
    from chat.log import clock
    from chat.rooms.models import Room
    from chat.rooms.services import create_room

    one = Room.objects.get(id=room)
    made = create_room(
        tenant_id=one.tenant_id, kind="group", name="Next door", owner_id=one.owner_id, now=clock.now()
    )
    return str(made)


def new_epoch() -> int:
    from chat.log.streams import new_epoch

    return new_epoch()


def prune(stream: str, keep: int) -> int:
    from chat.log.streams import prune

    return prune(UUID(stream), keep=keep)


def act(stream: str, name: str, actor: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A command from outside any serving process, as a management command gives it."""
    from chat.log.execute import execute

    return execute(UUID(stream), name, body, actor_id=UUID(actor)).answer


def crowd_says(stream: str, people: int, text: str) -> None:
    """As many people say the same, three times each, in one transaction of which no process is told."""
    from chat.log.execute import build, execute_all

    speakers = [UUID(person(name=f"Person {n}")) for n in range(people)]
    requests = [
        build(UUID(stream), "message.send", {"text": text}, actor_id=s) for s in speakers for _ in range(3)
    ]
    execute_all(requests)
    assert not [r.error for r in requests if r.error]


def log(stream: str) -> list[list[Any]]:
    """The whole log of a stream: [seq, kind, audience]."""
    from chat.log.models import Event

    rows = Event.objects.filter(stream_id=stream).order_by("seq").values_list("seq", "kind", "audience")
    return [list(row) for row in rows]


def texts(stream: str) -> list[str]:
    """The texts of a room's messages in the order of its log."""
    from chat.log.models import Event
    from chat.messages.models import Message

    said = {str(i): t for i, t in Message.objects.filter(room_id=stream).values_list("id", "text")}
    rows = Event.objects.filter(stream_id=stream, kind="message.sent").order_by("seq")
    return [said[body["message"]] for body in rows.values_list("body", flat=True)]


def _serve() -> None:
    import django

    django.setup()
    from chat.log import registry

    registry.load()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": globals()[name](**arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
