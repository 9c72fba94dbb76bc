from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.db import connection

from chat.log.batch import Batch, Insert, Part, Request
from chat.log.errors import Refused, describe
from chat.log.models import Audience
from chat.log.registry import Handler, command, effect
from tests.sample_subject.events import COUNTED, tally

describe("sample.enough", "That is enough.")


class Count(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Count on by a number. `trouble` makes the handler misbehave, for tests."""

    by: int = 1
    trouble: str = ""


class CountLater(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Promise to count in other streams, and to call the outside."""

    streams: list[UUID]
    by: int = 1
    seconds: int | None = None
    effects: list[str] = []


class CountOn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The kept promise."""

    by: int


class Tally(Part):
    """How far each stream has counted. `in_lock` and `in_write` are where tests reach into a transaction."""

    rank: ClassVar[int] = 60
    in_lock: ClassVar[Callable[[], None] | None] = None
    in_write: ClassVar[Callable[[], None] | None] = None

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.totals: dict[UUID, int] = {}

    def want(self, stream_id: UUID) -> None:
        self.totals[stream_id] = 0

    def lock(self) -> None:
        if Tally.in_lock is not None:
            Tally.in_lock()

    def load(self, now: datetime) -> None:
        for stream_id in self.totals:
            self.totals[stream_id] = tally(stream_id)["total"]

    def write(self, now: datetime, insert: Insert) -> None:
        if Tally.in_write is not None:
            Tally.in_write()


def count(batch: Batch, stream_id: UUID, person_id: UUID, by: int) -> dict[str, Any]:
    book = batch.part(Tally)
    book.totals[stream_id] += by
    total = book.totals[stream_id]
    batch.emit(stream_id, COUNTED, {"person": str(person_id), "by": by, "total": total})
    return {"total": total}


class _Counting(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Tally).want(r.stream_id)


@command("sample.count", Count)
class CountHandler(_Counting):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        match request.body.trouble:
            case "refuse":
                raise Refused("sample.enough")
            case "raise":
                raise ZeroDivisionError("poisoned")
            case "row":
                # for one person, and for nobody: a row that the database does not take
                body = {"person": "", "by": 0, "total": 0}
                batch.emit(request.stream_id, COUNTED, body, audience=Audience.PERSON)
                return {}
            case "sql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT * FROM no_such_table")
            case "slow":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL statement_timeout = '10ms'")
                    cursor.execute("SELECT pg_sleep(10)")
        return count(batch, request.stream_id, request.actor_id, request.body.by)


@command("sample.later", CountLater)
class LaterHandler(_Counting):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        from datetime import timedelta

        seconds = request.body.seconds
        for stream_id in request.body.streams:
            batch.follow_up(
                stream_id,
                "sample.count_on",
                {"by": request.body.by},
                key=str(request.client_id),
                at=None if seconds is None else batch.now + timedelta(seconds=seconds),
            )
        for name in request.body.effects:
            batch.effect("sample.call", {"name": name}, key=name)
        return {}


@command("sample.count_on", CountOn, system=True)
class CountOnHandler(_Counting):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        return count(batch, request.stream_id, request.actor_id, request.body.by)


calls: list[str] = []


@effect("sample.call")
def call(payload: dict[str, Any]) -> None:
    calls.append(payload["name"])
    if payload["name"].startswith("broken"):
        raise ConnectionError("nobody answers")
