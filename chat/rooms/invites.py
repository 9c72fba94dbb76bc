"""The invite codes of a batch."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Insert, Part
from chat.rooms.book import RoomState
from chat.rooms.models import Invite

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(slots=True)
class Code:
    id: UUID
    room_id: UUID
    uses_left: int | None
    expires_at: datetime | None
    revoked: bool
    used: int = 0


class InviteBook(Part):
    rank: ClassVar[int] = 30

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._wanted: set[str] = set()
        self._codes: dict[str, Code] = {}
        self._new: list[tuple[Any, ...]] = []

    def want(self, code: str) -> None:
        if code:
            self._wanted.add(code)

    def load(self, now: datetime) -> None:
        if self._wanted:
            rows = Invite.objects.filter(code__in=self._wanted).order_by("id").select_for_update(no_key=True)
            for row in rows.values_list("code", "id", "room_id", "uses_left", "expires_at", "revoked_at"):
                self._codes[row[0]] = Code(row[1], row[2], row[3], row[4], row[5] is not None)

    def valid(self, code: str, room_id: UUID) -> Code | None:
        """The code, if it leads into that room now."""
        found = self._codes.get(code)
        if found is None or found.room_id != room_id or found.revoked:
            return None
        if found.expires_at is not None and found.expires_at <= self.batch.now:
            return None
        if found.uses_left is not None and found.used >= found.uses_left:
            return None
        return found

    def use(self, code: Code) -> None:
        code.used += 1

    def revoke(self, code: Code) -> None:
        code.revoked = True

    def create(self, *, room: RoomState, by: UUID, uses: int | None, hours: int | None) -> str:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        expires = self.batch.now + timedelta(hours=hours) if hours else None
        self._new.append((uuid7(), room.tenant_id, room.id, code, by, uses, expires, None, self.batch.now))
        return code

    def write(self, now: datetime, insert: Insert) -> None:
        insert(
            Invite,
            (
                "id",
                "tenant_id",
                "room_id",
                "code",
                "made_by_id",
                "uses_left",
                "expires_at",
                "revoked_at",
                "created_at",
            ),
            self._new,
        )
        for code in self._codes.values():
            if code.revoked:
                Invite.objects.filter(id=code.id, revoked_at__isnull=True).update(revoked_at=now)
            elif code.used and code.uses_left is not None:
                Invite.objects.filter(id=code.id).update(uses_left=code.uses_left - code.used)
