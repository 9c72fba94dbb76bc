"""Streams by request: every registered command, and what a socket would have read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from rest_framework.request import Request

from chat.log import reading
from chat.log.errors import Refused
from chat.log.execute import execute
from chat.log.registry import COMMANDS, CommandSpec
from livesale.rest.api import Api, Operation, json_response, operation
from livesale.rest.bodies import read_json
from livesale.rest.throttle import throttle

# As many as a person's socket may send in a minute.
CommandThrottle = throttle("command", 1_200)
MESSAGES_PAGE = 50


# [version, value]
LatestValue = Annotated[list[Any], msgspec.Meta(min_length=2, max_length=2)]


class Answer(msgspec.Struct, frozen=True):
    """A command was carried out, durably. `repeated` when an earlier request with the same key had done it."""

    answer: dict[str, Any]
    repeated: bool


class Snapshot(msgspec.Struct, frozen=True):
    """One state of a stream as this person may see it: snapshot + later events = fresh snapshot."""

    stream: UUID
    kind: str
    epoch: int
    seq: int
    time: int
    public: dict[str, Any]
    personal: dict[str, Any]
    latest: dict[str, LatestValue]


class LogEvent(msgspec.Struct, frozen=True):
    """One entry of a log."""

    seq: int
    kind: str
    at: int
    body: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True):
    """Everything from `first` to `last` that this person may see; what is withheld is not a gap. `seq` is the end."""

    stream: UUID
    epoch: int
    first: int
    last: int
    seq: int
    events: list[LogEvent]


class MessagePage(msgspec.Struct, frozen=True):
    """Older messages, oldest first, as `message.sent` events. `more` when there are older ones still."""

    events: list[LogEvent]
    more: bool


class EventQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=reading.REPLAY_LIMIT)] = reading.REPLAY_LIMIT


class MessageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = MESSAGES_PAGE


class CommandView(Api):
    """Takes every command. The typed operations of the OpenAPI document are made by `for_command`."""

    command: ClassVar[str] = ""
    throttle_classes = [CommandThrottle]

    def post(self, request: Request, stream: UUID, name: str) -> Any:
        person_id = self.require_person()
        spec = COMMANDS.get(name)
        if spec is None or spec.system:
            raise Refused("command.unknown", name=name[:40])
        client_id = idempotency_key(request.headers.get("Idempotency-Key", ""))
        body = msgspec.Raw(read_json(request._request))
        done = execute(stream, name, body, actor_id=person_id, client_id=client_id)
        return json_response(Answer(done.answer, done.repeated))

    @classmethod
    def for_command(cls, spec: CommandSpec) -> type[CommandView]:
        """This view, described as one command."""

        def post(self: CommandView, request: Request, **path: Any) -> Any:
            raise NotImplementedError

        answer = getattr(spec.handler, "answer", None)
        kind: type[msgspec.Struct] = Answer
        if answer is not None:
            kind = msgspec.defstruct(
                f"{answer.__name__}Answered", [("answer", answer), ("repeated", bool)], frozen=True
            )
        post.__doc__ = f"{spec.summary}\n\nOn streams of kind: {', '.join(spec.stream_kinds)}."
        post.operation = Operation(spec.name, kind, spec.body)  # type: ignore[attr-defined]
        return type("Typed", (cls,), {"post": post, "command": spec.name})


def idempotency_key(text: str) -> UUID | None:
    """The client's id of a command. Only version 7 tells its age, so only that is taken."""
    if not text:
        return None
    try:
        key = UUID(text.strip().strip('"'))
    except ValueError:
        raise Refused("command.bad_id") from None
    if key.version != 7:
        raise Refused("command.bad_id")
    return key


class SnapshotView(Api):
    @operation("stream.snapshot", answer=Snapshot, guests=True, errors=(403,))
    def get(self, request: Request, stream: UUID) -> bytes:
        """The present state of a stream."""
        return reading.snapshot(stream, self.viewer(stream))


class EventsView(Api):
    @operation("stream.events", answer=EventPage, query=EventQuery, guests=True, errors=(403, 409))
    def get(self, request: Request, stream: UUID, query: EventQuery) -> EventPage:
        """What was added to a stream's log after a position."""
        viewer = self.viewer(stream)
        with reading.consistent():
            position = reading.positions([stream])[stream]
            if not position.floor <= query.after <= position.seq:
                raise Refused("events.resync", floor=position.floor, seq=position.seq)
            last = min(query.after + query.limit, position.seq)
            events = reading.replay(stream, viewer, query.after, last) if last > query.after else []
        return EventPage(
            stream,
            position.epoch,
            query.after + 1,
            last,
            position.seq,
            [msgspec.Raw(e) for e in events],  # type: ignore[misc]
        )


class MessagesView(Api):
    @operation("stream.messages", answer=MessagePage, query=MessageQuery, guests=True, errors=(403,))
    def get(self, request: Request, stream: UUID, query: MessageQuery) -> MessagePage:
        """Older messages of a room, before a position."""
        viewer = self.viewer(stream)
        before = query.before if query.before is not None else 2**62
        found = reading.history(stream, viewer, before, ["message.sent"], query.limit + 1)
        more = len(found) > query.limit
        return MessagePage([msgspec.Raw(e) for e in found[-query.limit :]], more)  # type: ignore[misc]
