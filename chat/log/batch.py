"""A batch: the requests that share one transaction, and what they have decided so far."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid5

import msgspec
from django.db import models

from chat.log.errors import Refused
from chat.log.models import Audience
from chat.log.registry import CommandSpec

# The actor of what time and the server themselves do. Its client ids are the outbox rows' ids.
SYSTEM = UUID(int=0)

# A batch's clock before it is read.
NOT_READ = datetime.fromtimestamp(0, UTC)

Insert = Callable[[type[models.Model], Sequence[str], Sequence[tuple[Any, ...]]], None]

encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Request:
    """One command on its way: who, where, what, and the id that makes a repeat harmless."""

    spec: CommandSpec
    stream_id: UUID
    actor_id: UUID
    client_id: UUID
    body: Any
    # from the outbox: the row with this client id is its guard, and goes with its execution
    promised: bool = False
    # set by the executor
    answer: dict[str, Any] | None = None
    error: BaseException | None = None
    repeated: bool = False
    # what to do with the finished request; called by the executor's owner, never inside the transaction
    done: Callable[[Request], None] | None = None
    first_deferred_at: float | None = None
    _fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of stream, command and body: what the same id must mean when it comes again."""
        if not self._fingerprint:
            meaning = self.stream_id.bytes + self.spec.name.encode() + encode(self.body)
            self._fingerprint = hashlib.blake2b(meaning, digest_size=16).hexdigest()
        return self._fingerprint

    @property
    def key(self) -> tuple[int, int]:
        """What a receipt is found by: client id and actor. Numbers are hashed faster than the UUIDs themselves."""
        return self.client_id.int, self.actor_id.int

    def repeat(self, fingerprint: str, answer: dict[str, Any]) -> None:
        """Give the answer that this id got before, if it asks for the same."""
        self.repeated = True
        if fingerprint != self.fingerprint:
            self.error = Refused("command.reused")
        else:
            self.answer = answer


class Emitted(msgspec.Struct, gc=False):
    kind: str
    audience: int
    person_id: UUID | None
    body: dict[str, Any]
    wire: dict[str, Any]


@dataclass(slots=True)
class Head:
    seq: int
    epoch: int
    kind: str
    tenant_id: UUID | None


class CommittedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it travels: already encoded, once."""

    seq: int
    kind: str
    audience: int
    person_id: UUID | None
    wire: bytes
    subject: UUID | None = None


@dataclass(slots=True, frozen=True)
class Committed:
    """What one transaction added to one stream."""

    stream_id: UUID
    epoch: int
    first: int
    last: int
    events: tuple[CommittedEvent, ...]


@dataclass(slots=True, frozen=True)
class Signal:
    """A latest value for everyone in a stream: the higher version wins, older ones may be dropped."""

    stream_id: UUID
    key: str
    version: int
    value: Any


class Part:
    """What a batch knows and changes of one subject: locked in `rank` order, loaded once, written once per table."""

    rank: ClassVar[int] = 50

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def lock(self) -> bool:
        """Lock the declared rows, sorted by id; whether there were any."""
        return False

    def load(self, now: datetime) -> Iterator[None] | None:
        """Read everything declared, set-based, in statements after the locks.

        As a generator: `yield` between asking and reading the answers, so that all parts' questions travel together.
        """
        return None

    def finish(self, now: datetime) -> None:
        """After the last decision: emit what sums the batch up."""

    def write(self, now: datetime, insert: Insert) -> None:
        """Write every change, one statement per table."""


PartT = TypeVar("PartT", bound=Part)


@dataclass(slots=True)
class Promise:
    id: UUID
    stream_id: UUID | None
    name: str
    payload: dict[str, Any]
    at: datetime | None


@dataclass(slots=True)
class Batch:
    """The state of one transaction."""

    requests: list[Request]
    heads: dict[UUID, Head] = field(default_factory=dict)
    parts: dict[type[Part], Part] = field(default_factory=dict)
    events: dict[UUID, list[Emitted]] = field(default_factory=dict)
    promises: dict[UUID, Promise] = field(default_factory=dict)
    signals: dict[tuple[UUID, str], Signal] = field(default_factory=dict)
    doorbells: set[UUID] = field(default_factory=set)
    # read after the locks, before anything decides
    now: datetime = NOT_READ
    on_commit: list[Callable[[], None]] = field(default_factory=list)

    def part(self, kind: type[PartT]) -> PartT:
        """The batch's one instance of a part; made on first use, which must be while declaring."""
        found = self.parts.get(kind)
        if found is None:
            if self.now is not NOT_READ:
                raise RuntimeError(f"{kind.__name__} was not declared before the batch was loaded")
            found = self.parts[kind] = kind(self)
        return found  # type: ignore[return-value]

    def holds(self, stream_id: UUID) -> bool:
        """Whether this batch has locked the head of that stream, so that it may emit there."""
        return stream_id in self.heads

    def emit(
        self,
        stream_id: UUID,
        kind: str,
        body: dict[str, Any],
        *,
        audience: int = Audience.PUBLIC,
        person_id: UUID | None = None,
        wire: dict[str, Any] | None = None,
    ) -> None:
        """Add an event to a locked stream's log.

        `body` is stored: ids and public facts. Where the kind has a `hydrate`, readers get what that makes of it,
        from the rows as this transaction leaves them; `wire` saves the query by giving the same at once.
        """
        if stream_id not in self.heads:
            raise RuntimeError(f"{kind} for a stream that this batch has not locked; use follow_up")
        self.events.setdefault(stream_id, []).append(
            Emitted(kind, int(audience), person_id, body, body if wire is None else wire)
        )

    def follow_up(
        self, stream_id: UUID, name: str, payload: dict[str, Any], *, key: str, at: datetime | None = None
    ) -> None:
        """Promise a system command on a stream, now or at a time; the same (stream, name, key) is one promise."""
        promise_id = uuid5(stream_id, f"{name}\n{key}")
        self.promises[promise_id] = Promise(promise_id, stream_id, name, payload, at)

    def effect(self, name: str, payload: dict[str, Any], *, key: str) -> None:
        """Promise a call to the outside (mail, gateway) after the commit; repeated until it succeeds."""
        effect_id = uuid5(SYSTEM, f"{name}\n{key}")
        self.promises[effect_id] = Promise(effect_id, None, name, payload, None)

    def signal(self, stream_id: UUID, key: str, version: int, value: Any) -> None:
        """Set a latest value of any stream, locked or not."""
        old = self.signals.get((stream_id, key))
        if old is None or old.version <= version:
            self.signals[stream_id, key] = Signal(stream_id, key, version, value)

    def end(self) -> None:
        """Nothing is asked of it any more. It and its parts know each other: only the collector would free them."""
        self.parts.clear()
        self.on_commit.clear()

    def ring(self, person_id: UUID) -> None:
        """Tell all devices of a person that their panel (holds, places, orders) has changed."""
        self.doorbells.add(person_id)


@dataclass(slots=True)
class Outcome:
    """What a transaction leaves behind for the process that ran it."""

    committed: list[Committed] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    doorbells: set[UUID] = field(default_factory=set)
    promised_now: bool = False
    deferred: list[Request] = field(default_factory=list)
