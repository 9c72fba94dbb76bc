"""A room with one person of each kind in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import connection

from chat.log import clock, execute, transaction
from chat.log.batch import Outcome, Request
from chat.log.models import Event
from chat.rooms.services import create_room
from livesale.accounts.models import User


def person(name: str) -> UUID:
    return User.objects.create(name=name).id


def request(stream: UUID, name: str, actor: UUID, /, *, id: UUID | None = None, **body: Any) -> Request:
    return execute.build(stream, name, body, actor_id=actor, client_id=id)


def run(*requests: Request) -> Outcome:
    """Carry out requests as one batch, as a lane would draw it."""
    return transaction.run(requests)


def events(stream: UUID) -> list[tuple[int, str]]:
    return list(Event.objects.filter(stream_id=stream).order_by("seq").values_list("seq", "kind"))


def numbers(stream: UUID) -> list[int]:
    return [seq for seq, _ in events(stream)]


def counts(stream: UUID) -> list[int]:
    """What has been counted in a stream by the sample subject, in order."""
    bodies = Event.objects.filter(stream_id=stream, kind="sample.counted").order_by("seq")
    return [body["by"] for body in bodies.values_list("body", flat=True)]


def code_of(refused: Request) -> str:
    return getattr(refused.error, "code", "")


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    """Run these at the same time, each with a database connection of its own; what one raises is raised here."""
    results: list[Any] = [None] * len(work)
    errors: list[BaseException] = []
    ready = threading.Barrier(len(work))

    def one(i: int) -> None:
        try:
            ready.wait(10)
            results[i] = work[i]()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


@dataclass
class World:
    tenant: UUID
    owner: UUID
    moderator: UUID
    member: UUID
    guest: UUID
    room: UUID

    @classmethod
    def create(cls) -> World:
        tenant = uuid4()
        owner, moderator, member, guest = map(person, ("Olga", "Mo", "Mia", "Gus"))
        world = cls(tenant, owner, moderator, member, guest, UUID(int=0))
        world.room = world.another_room()
        return world

    def another_room(self) -> UUID:
        room = create_room(
            tenant_id=self.tenant, kind="group", name="A room", owner_id=self.owner, now=clock.now()
        )
        self.do("member.join", self.member, room=room)
        self.do("member.appoint", self.owner, room=room, person=str(self.moderator), role="moderator")
        return room

    def do(
        self,
        name: str,
        actor: UUID | None = None,
        /,
        *,
        room: UUID | None = None,
        id: UUID | None = None,
        **body: Any,
    ) -> dict[str, Any]:
        """Carry out one command; raises what it was refused with."""
        answered = execute.execute(room or self.room, name, body, actor_id=actor or self.owner, client_id=id)
        return answered.answer

    def say(self, text: str, actor: UUID | None = None) -> UUID:
        return UUID(self.do("message.send", actor, text=text)["message"])


def outside() -> psycopg.Connection:
    """A connection that is nobody's business: somebody else's psql."""
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
        autocommit=True,
    )
