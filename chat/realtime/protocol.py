"""Every frame of the wire, typed. `docs/wire.md`, the AsyncAPI document and the SDK's types are made from this file.

Text frames of JSON in both directions. A client ignores frames, events and fields that it does not know; the server
refuses fields that it does not know. Moments are Unix milliseconds of the server's clock, ids are UUID strings.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from chat.realtime.frame import Frame

VERSION = 1
"""What `hello` says. A client says what it speaks in its address, `/ws/?protocol=1`; one that does not, speaks 1."""

# The oldest that is still served: raised when a frame that old clients need has gone.
OLDEST = 1


class _FromClient(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="type"):
    pass


class StreamPosition(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A stream and how far the client has it.

    `staff` says whether the client takes itself for one of the stream's staff: where that is not so any more, or so by
    now, what it has is of another view, and it begins anew. For servers that name `standing` among their features.
    """

    stream: UUID
    after: int | None = None
    epoch: int | None = None
    staff: bool | None = None


class Auth(_FromClient, frozen=True, tag="auth"):
    """Say who you are on an open socket: a single-use ticket, or the resume token of an earlier `hello`."""

    ticket: str | None = None
    resume: str | None = None


class Join(_FromClient, frozen=True, tag="join"):
    """Follow streams, from where the client left off. Answered by one `joined` per stream."""

    streams: list[StreamPosition]


class Leave(_FromClient, frozen=True, tag="leave"):
    """Stop following streams."""

    streams: list[UUID]


class Do(_FromClient, frozen=True, tag="do"):
    """A command. `id` is a UUIDv7 made by the client: sent again after a lost link it gets the same answer."""

    id: UUID
    stream: UUID
    name: str
    body: msgspec.Raw


class Ask(_FromClient, frozen=True, tag="ask"):
    """What became of these command ids? Answered by `told`."""

    ids: list[UUID]


class Ping(_FromClient, frozen=True, tag="ping"):
    """Are you there, and what time is it? `at` is echoed."""

    at: float | None = None


class Tell(_FromClient, frozen=True, tag="tell"):
    """A signal that need not be kept: typing, a reaction. Never answered, dropped under load."""

    stream: UUID
    name: str
    value: str = ""


ClientFrame = Auth | Join | Leave | Do | Ask | Ping | Tell


class _FromServer(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    pass


class Person(msgspec.Struct, frozen=True):
    """Who the server takes you for."""

    id: UUID
    name: str


class Hello(_FromServer, frozen=True, tag="hello"):
    """First frame, and again after `auth`. `resume` is a signed token for the next connection."""

    protocol: int
    time: int
    you: Person | None
    limits: dict[str, int]
    features: list[str]
    resume: str | None = None


class Joined(_FromServer, frozen=True, tag="joined"):
    """The client now follows `stream`, which stands at `seq`.

    `mode` is `replay` (the missed events follow as `events` frames up to `seq`) or `resync` (`snapshot` replaces
    everything known about the stream).
    """

    stream: UUID
    mode: str
    epoch: int
    seq: int
    snapshot: msgspec.Raw = msgspec.Raw(b"null")


class Left(_FromServer, frozen=True, tag="left"):
    """The client no longer follows `stream`; `code` says why (banned, archived, not to be seen)."""

    stream: UUID
    code: str
    message: str


class Event(msgspec.Struct, frozen=True):
    """One entry of a log."""

    seq: int
    kind: str
    at: int
    body: dict[str, Any]


class Events(_FromServer, frozen=True, tag="events"):
    """Everything of `stream` from `first` to `last` that this reader may see. What is withheld is not a gap."""

    stream: UUID
    epoch: int
    first: int
    last: int
    events: list[Event]


class Values(_FromServer, frozen=True, tag="values"):
    """Latest values of a stream: {key: [version, value]}. The higher version wins."""

    stream: UUID
    values: dict[str, tuple[int, Any]]


class Ack(_FromServer, frozen=True, tag="ack"):
    """A command was carried out, durably. `repeated` when an earlier send of the same id had done it."""

    id: UUID
    answer: dict[str, Any]
    repeated: bool = False


class Error(_FromServer, frozen=True, tag="error"):
    """Something was refused; the socket stays open.

    With `temporary` the same command and id may be sent again, `retry_after` seconds from now. `id` names the
    command, where there was one.
    """

    code: str
    message: str
    id: UUID | None = None
    params: dict[str, Any] = {}
    temporary: bool = False
    retry_after: float | None = None


class Told(_FromServer, frozen=True, tag="told"):
    """What became of command ids: the stored answer, or null for an id that was never carried out."""

    answers: dict[str, dict[str, Any] | None]


class Pong(_FromServer, frozen=True, tag="pong"):
    """The answer to `ping`, with the server's clock."""

    time: int
    at: float | None = None


class Beat(_FromServer, frozen=True, tag="beat"):
    """The server is there. Sent every so often; a client that hears nothing for longer reconnects.

    `resume`, when there is one, replaces the token of the `hello`, which grows old.
    """

    time: int
    resume: str | None = None


class Panel(_FromServer, frozen=True, tag="panel"):
    """Your holds, places or orders have changed: fetch them again."""

    time: int


class Bye(_FromServer, frozen=True, tag="bye"):
    """The server is about to close with `code`; come back after `retry_after` seconds where that is given."""

    code: int
    reason: str
    retry_after: float | None = None


ServerFrame = Hello | Joined | Left | Events | Values | Ack | Error | Told | Pong | Beat | Panel | Bye

_decoder = msgspec.json.Decoder(ClientFrame)
_encoder = msgspec.json.Encoder()


def decode(text: str | bytes) -> Auth | Join | Leave | Do | Ask | Ping | Tell:
    """Read a client's frame. Raises `msgspec.DecodeError` (of which `ValidationError` is one) or `RecursionError`."""
    return _decoder.decode(text)


def encode(message: msgspec.Struct) -> Frame:
    return Frame(_encoder.encode(message))


def events_frame(stream_id: UUID, epoch: int, first: int, last: int, events: list[bytes]) -> Frame:
    """An `events` frame from events that are encoded already."""
    head = (
        f'{{"type":"events","stream":"{stream_id}","epoch":{epoch},"first":{first},"last":{last},"events":['
    )
    return Frame(head.encode() + b",".join(events) + b"]}")


def values_frame(stream_id: UUID, values: dict[str, tuple[int, Any]]) -> Frame:
    return encode(Values(stream_id, values))
