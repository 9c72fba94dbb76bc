"""What is heard of moderation."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chat.log.registry import event, snapshot_part
from chat.moderation.selectors import sanctions_for


class TimedOut(msgspec.Struct):
    """To the person and the staff: no writing until then (Unix ms)."""

    person: UUID
    until: int


class Sanctioned(msgspec.Struct):
    """A person may not take part any more, or may again."""

    person: UUID
    everywhere: bool = False


class Cleared(msgspec.Struct):
    """Everything that a person has written is gone for everyone."""

    person: UUID


MEMBER_TIMED_OUT = event("member.timed_out", TimedOut)
MEMBER_BANNED = event("member.banned", Sanctioned, changes_access=True)
MEMBER_UNBANNED = event("member.unbanned", Sanctioned, changes_access=True)
MEMBER_HIDDEN = event("member.hidden", Sanctioned)
MEMBER_CLEARED = event("member.cleared", Cleared)

snapshot_part("room", "sanctions", personal=sanctions_for)
