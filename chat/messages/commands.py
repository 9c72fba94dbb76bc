"""Sending, deleting, pinning and reporting messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Request
from chat.log.errors import Refused, describe
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.book import Known, MessageBook
from chat.messages.models import Message
from chat.messages.text import clean
from chat.moderation.audit import Audit
from chat.moderation.book import RulesBook
from chat.rooms.book import RoomBook
from chat.rooms.permissions import STAFF_ROLES, may

describe("message.unknown", "That message is not there any more.")
describe("message.too_many_pins", "There are already {limit} pinned messages. Unpin one first.")

PIN_LIMIT = 5

Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Reason = Annotated[str, msgspec.Meta(max_length=200)]


class SendMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Write to the room."""

    text: Text
    reply_to: UUID | None = None


class DeleteMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Delete a message for everyone: one's own, or as a moderator somebody else's."""

    message: UUID
    reason: Reason = ""


class PinMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Keep a message in sight, or no longer."""

    message: UUID
    pinned: bool = True


class ReportMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Tell the room's staff that a message is wrong."""

    message: UUID
    reason: Reason = ""


class SettleReports(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The staff have looked at what was reported and let the message stand."""

    message: UUID


def send_message(
    batch: Batch, room_id: UUID, person_id: UUID, text: str, reply_to: UUID | None
) -> dict[str, Any]:
    """Decide one message: the voice of its author is checked, then it is in the log. Other subjects may call it."""
    book = batch.part(RoomBook)
    text = clean(text)
    standing = book.require_voice(room_id, person_id)
    rules = batch.part(RulesBook)
    rules.require(room_id, person_id, standing.role, text)
    room = book.room(room_id)
    if reply_to is not None and batch.part(MessageBook).find(reply_to, room_id) is None:
        reply_to = None
    thinned = book.crowded(room_id) and standing.role not in STAFF_ROLES
    hidden = standing.hidden or thinned
    message_id = batch.part(MessageBook).add(
        tenant_id=room.tenant_id,
        room_id=room_id,
        author_id=person_id,
        text=text,
        reply_to=reply_to,
        hidden=hidden,
    )
    book.spoke(room_id, person_id, shown=not hidden)
    rules.spoke(room_id, person_id, text)
    stored: dict[str, Any] = {
        "message": str(message_id),
        "person": str(person_id),
        "role": standing.role if standing.member else "guest",
        "reply_to": str(reply_to) if reply_to is not None else None,
        "at": int(batch.now.timestamp() * 1000),
    }
    if thinned:
        stored["thinned"] = True
        batch.signal(room_id, "thinned", stored["at"], True)
    batch.emit(
        room_id,
        "message.sent",
        stored,
        audience=Audience.AUTHOR if hidden else Audience.PUBLIC,
        person_id=person_id if hidden else None,
        wire={**stored, "name": book.names.get(person_id, ""), "text": text},
    )
    return {"message": str(message_id)}


def declare_message(batch: Batch, requests: Sequence[Request]) -> None:
    """What `send_message` needs of the batch's parts."""
    rooms, rules, messages = batch.part(RoomBook), batch.part(RulesBook), batch.part(MessageBook)
    for r in requests:
        rooms.want(r.stream_id, [r.actor_id], recent=True)
        rules.want(r.stream_id, r.actor_id)
        if r.body.reply_to is not None:
            messages.want(r.body.reply_to)


@command("message.send", SendMessage, patient=True)
class Send(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        declare_message(batch, requests)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        return send_message(
            batch, request.stream_id, request.actor_id, request.body.text, request.body.reply_to
        )


class _OnMessage(Handler):
    """What commands about one message share: the actor's standing, the message, its author's standing."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        # who wrote a message never changes: it may be read before the locks
        rooms, messages = batch.part(RoomBook), batch.part(MessageBook)
        batch.part(Audit)
        authors = dict(
            Message.objects.filter(id__in=[r.body.message for r in requests]).values_list("id", "author_id")
        )
        for r in requests:
            people = [r.actor_id]
            if r.body.message in authors:
                people.append(authors[r.body.message])
            rooms.want(r.stream_id, people)
            messages.want(r.body.message)

    def message(self, batch: Batch, request: Request) -> Known:
        known = batch.part(MessageBook).find(request.body.message, request.stream_id)
        if known is None:
            raise Refused("message.unknown")
        return known


@command("message.delete", DeleteMessage)
class Delete(_OnMessage):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        book = batch.part(RoomBook)
        known = self.message(batch, request)
        own = known.author_id == request.actor_id
        standing = book.require(
            request.stream_id, request.actor_id, "message.delete_own" if own else "message.delete"
        )
        if not own:
            author = book.standing(request.stream_id, known.author_id)
            if not standing.outranks(author):
                raise Refused("permission.denied")
            batch.part(Audit).add(request, "message.delete", target_id=known.author_id, message=str(known.id))
        pinned = known.id in batch.part(MessageBook).pinned
        batch.part(MessageBook).delete(known)
        audience = Audience.AUTHOR if known.hidden else Audience.PUBLIC
        person_id = known.author_id if known.hidden else None
        batch.emit(
            request.stream_id,
            "message.deleted",
            {"message": str(known.id)},
            audience=audience,
            person_id=person_id,
        )
        if pinned:
            batch.part(MessageBook).unpin(known)
            batch.emit(request.stream_id, "message.unpinned", {"message": str(known.id)})
        return {}


@command("message.pin", PinMessage)
class PinOrUnpin(_OnMessage):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        rooms, messages = batch.part(RoomBook), batch.part(MessageBook)
        rooms.require(request.stream_id, request.actor_id, "message.pin")
        known = self.message(batch, request)
        if known.hidden:
            raise Refused("message.unknown")
        if request.body.pinned and known.id not in messages.pinned:
            if messages.pin_counts[known.room_id] >= PIN_LIMIT:
                raise Refused("message.too_many_pins", limit=PIN_LIMIT)
            messages.pin(known, rooms.room(request.stream_id).tenant_id, request.actor_id)
            batch.emit(
                request.stream_id,
                "message.pinned",
                {"message": str(known.id)},
                wire={"message": str(known.id), "text": known.text, "name": known.name},
            )
        elif not request.body.pinned and known.id in messages.pinned:
            messages.unpin(known)
            batch.emit(request.stream_id, "message.unpinned", {"message": str(known.id)})
        else:
            return {}
        batch.part(Audit).add(
            request,
            "message.pin",
            target_id=known.author_id,
            message=str(known.id),
            pinned=request.body.pinned,
        )
        return {}


@command("message.report", ReportMessage)
class Report(_OnMessage):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        rooms, messages = batch.part(RoomBook), batch.part(MessageBook)
        standing = rooms.require(request.stream_id, request.actor_id, "message.report")
        if not may(standing.role, "message.report") and not rooms.room(request.stream_id).open:
            raise Refused("permission.denied")
        known = self.message(batch, request)
        if (known.id, request.actor_id) not in messages.reported:
            messages.report(
                known, rooms.room(request.stream_id).tenant_id, request.actor_id, request.body.reason
            )
            batch.emit(
                request.stream_id,
                "message.reported",
                {
                    "message": str(known.id),
                    "person": str(known.author_id),
                    "reports": messages.open_reports[known.id],
                },
                audience=Audience.STAFF,
            )
        return {}


@command("message.settle", SettleReports)
class Settle(_OnMessage):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        rooms, messages = batch.part(RoomBook), batch.part(MessageBook)
        rooms.require(request.stream_id, request.actor_id, "message.delete")
        known = self.message(batch, request)
        if messages.open_reports[known.id]:
            messages.settle(known)
            batch.part(Audit).add(request, "message.settle", target_id=known.author_id, message=str(known.id))
            batch.emit(
                request.stream_id, "reports.settled", {"message": str(known.id)}, audience=Audience.STAFF
            )
        return {}
