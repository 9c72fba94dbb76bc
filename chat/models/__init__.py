"""Every table of the app, re-exported: one subject, one models.py."""

from chat.log.models import Audience, Event, Outbox, Receipt, Stream, StreamHead
from chat.messages.models import Message, MessageReport, Pin
from chat.moderation.models import AuditEntry, Sanction
from chat.rooms.models import Invite, Membership, Room

__all__ = [
    "Audience",
    "AuditEntry",
    "Event",
    "Invite",
    "Membership",
    "Message",
    "MessageReport",
    "Outbox",
    "Pin",
    "Receipt",
    "Room",
    "Sanction",
    "Stream",
    "StreamHead",
]
