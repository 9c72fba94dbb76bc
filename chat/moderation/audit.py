"""The audit: every act of a person with power becomes a row in the transaction that carries it out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from uuid_utils.compat import uuid7

from chat.log.batch import Batch, Insert, Part, Request
from chat.moderation.models import AuditEntry


class Audit(Part):
    rank: ClassVar[int] = 90

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._entries: list[tuple[Any, ...]] = []

    def add(
        self,
        request: Request,
        action: str,
        *,
        target_id: UUID | None = None,
        reason: str = "",
        **details: Any,
    ) -> None:
        """Record an act. `details` are ids and numbers, never what somebody wrote."""
        tenant_id = self.batch.heads[request.stream_id].tenant_id
        said = reason or getattr(request.body, "reason", "")
        self._entries.append(
            (
                uuid7(),
                tenant_id,
                request.stream_id,
                request.actor_id,
                action,
                target_id,
                said,
                details,
                self.batch.now,
            )
        )

    def write(self, now: datetime, insert: Insert) -> None:
        insert(
            AuditEntry,
            ("id", "tenant_id", "stream_id", "actor_id", "action", "target_id", "reason", "details", "at"),
            self._entries,
        )
