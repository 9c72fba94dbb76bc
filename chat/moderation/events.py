"""What is heard of moderation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.contrib.auth import get_user_model

from chat.log.registry import event, snapshot_part
from chat.moderation.selectors import sanctions_for


class TimedOut(msgspec.Struct):
    """To the person and the staff: no writing until then (Unix ms)."""

    person: UUID
    name: str
    until: int


class Sanctioned(msgspec.Struct):
    """A person may not take part any more, or may again."""

    person: UUID
    name: str
    everywhere: bool = False


class Cleared(msgspec.Struct):
    """Everything that a person has written is gone for everyone."""

    person: UUID


def _with_names(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    people = get_user_model().objects.filter(id__in={b["person"] for b in bodies})
    names = {str(person_id): name for person_id, name in people.values_list("id", "name")}
    return [{**b, "name": names.get(b["person"], "")} for b in bodies]


MEMBER_TIMED_OUT = event("member.timed_out", TimedOut, hydrate=_with_names)
MEMBER_BANNED = event("member.banned", Sanctioned, hydrate=_with_names, changes_access=True)
MEMBER_UNBANNED = event("member.unbanned", Sanctioned, hydrate=_with_names, changes_access=True)
MEMBER_HIDDEN = event("member.hidden", Sanctioned, hydrate=_with_names)
MEMBER_CLEARED = event("member.cleared", Cleared)

snapshot_part("room", "sanctions", personal=sanctions_for)
