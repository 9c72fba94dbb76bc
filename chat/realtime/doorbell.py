"""What processes tell each other through the channel layer: all of it may come late, twice or not at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from chat.log.batch import Committed, CommittedEvent


class Batch(msgspec.Struct, tag_field="t", tag="batch", array_like=True):
    """What a transaction added to a stream."""

    stream: UUID
    epoch: int
    first: int
    last: int
    events: list[tuple[int, str, int, UUID | None, bytes, UUID | None]]

    def committed(self) -> Committed:
        events = tuple(CommittedEvent(*e) for e in self.events)
        return Committed(self.stream, self.epoch, self.first, self.last, events)


class Values(msgspec.Struct, tag_field="t", tag="signals", array_like=True):
    """Latest values of a stream."""

    stream: UUID
    values: dict[str, tuple[int, Any]]


class Viewers(msgspec.Struct, tag_field="t", tag="viewers", array_like=True):
    """How many sockets of one process follow each stream."""

    process: str
    counts: dict[str, int]


class People(msgspec.Struct, tag_field="t", tag="people", array_like=True):
    """Whose panel has changed, and who is to be judged anew."""

    ring: list[UUID]
    revoke: list[UUID]


class Tell(msgspec.Struct, tag_field="t", tag="tell", array_like=True):
    """A passing signal of one person, with its version."""

    stream: UUID
    name: str
    person: UUID | None
    value: str
    version: int


class Spent(msgspec.Struct, tag_field="t", tag="spent", array_like=True):
    """Frames that one process has let in lately, by person; `at` in Unix milliseconds, by its own clock."""

    process: str
    at: int
    counts: dict[UUID, int]


Doorbell = Batch | Values | Viewers | People | Tell | Spent

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Doorbell)


def encode(message: msgspec.Struct) -> bytes:
    return _encoder.encode(message)


def encode_batch(committed: Committed) -> bytes:
    events = [(e.seq, e.kind, e.audience, e.person_id, e.wire, e.subject) for e in committed.events]
    return _encoder.encode(
        Batch(committed.stream_id, committed.epoch, committed.first, committed.last, events)
    )


def decode(data: bytes) -> Doorbell:
    """Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)
