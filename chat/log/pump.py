"""The pump: carries out what transactions have promised. Follow-ups, what is due, effects to the outside.

Every serving process pumps. A row is leased for a few seconds, so that processes share the work; that a command is
executed once does not hang on the lease but on its row, which goes in the transaction that executes it.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q

from chat.log import clock, registry
from chat.log.batch import SYSTEM, Request
from chat.log.errors import Refused
from chat.log.execute import execute_all, parse
from chat.log.models import Outbox

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=10)
# Idle pumps look this often, in seconds: a hold that lapses reaches the next in line within two of them.
INTERVAL = 0.5
TAKE = 200
MAX_ATTEMPTS = 12


def take(now: datetime, limit: int = TAKE) -> list[dict[str, Any]]:
    """Lease the rows that are due."""
    with transaction.atomic():
        rows = (
            Outbox.objects.filter(
                Q(leased_until__isnull=True) | Q(leased_until__lte=now), at__lte=now, failed=False
            )
            .order_by("at", "id")
            .values("id", "stream_id", "name", "payload", "attempts")
        )
        if connection.vendor == "postgresql":
            rows = rows.select_for_update(skip_locked=True)
        taken: list[dict[str, Any]] = [dict(row) for row in rows[:limit]]
        Outbox.objects.filter(id__in=[row["id"] for row in taken]).update(
            leased_until=now + LEASE, attempts=F("attempts") + 1
        )
    return taken


def pump_once() -> int:
    """Carry out what is due now; returns how many rows were taken."""
    now = clock.now()
    if not Outbox.objects.filter(
        Q(leased_until__isnull=True) | Q(leased_until__lte=now), at__lte=now, failed=False
    ).exists():
        return 0
    taken = take(now)
    commands: list[Request] = []
    for row in taken:
        if row["stream_id"] is None:
            _effect(row, now)
        else:
            request = _command(row)
            if request is not None:
                commands.append(request)
    if commands:
        execute_all(commands)
        # a promise kept or refused is gone with its transaction; what failed stays and is taken again
        attempts = {row["id"]: row["attempts"] for row in taken}
        for r in commands:
            if r.error is not None:
                _again(r.client_id, attempts[r.client_id], now)
    return len(taken)


def _command(row: dict[str, Any]) -> Request | None:
    spec = registry.COMMANDS.get(row["name"])
    try:
        if spec is None:
            raise Refused("command.unknown", name=row["name"])
        body = parse(spec, row["payload"])
    except Refused as refusal:
        logger.error("outbox row %s (%s) cannot be understood: %s", row["id"], row["name"], refusal.code)
        Outbox.objects.filter(id=row["id"]).update(failed=True)
        return None
    return Request(spec, row["stream_id"], SYSTEM, row["id"], body, promised=True)


def _effect(row: dict[str, Any], now: datetime) -> None:
    carry_out = registry.EFFECTS.get(row["name"])
    try:
        if carry_out is None:
            raise LookupError(row["name"])
        carry_out(row["payload"])
    except Exception:
        logger.exception("effect %s %s failed", row["name"], row["id"])
        _again(row["id"], row["attempts"], now)
    else:
        Outbox.objects.filter(id=row["id"]).delete()


def _again(row_id: UUID, attempts: int, now: datetime) -> None:
    if attempts + 1 >= MAX_ATTEMPTS:
        Outbox.objects.filter(id=row_id).update(failed=True)
    else:
        Outbox.objects.filter(id=row_id).update(leased_until=now + timedelta(seconds=min(2**attempts, 300)))


def pump_until_quiet(limit: int = 50) -> int:
    """Carry out everything due now and what follows from it; for tests and commands. Returns rows taken."""
    total = 0
    for _ in range(limit):
        count = pump_once()
        total += count
        if not count:
            break
    return total


class Pump:
    """The pump's thread in a serving process."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look at once: something was promised for now."""
        self._wake.set()

    def stop(self, timeout: float = 5.0) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(INTERVAL)
                self._wake.clear()
                if self._stopping:
                    return
                try:
                    while pump_once() >= TAKE:
                        pass
                except DatabaseError as error:
                    logger.warning("pump: %s", type(error).__name__)
                    connection.close()
                except Exception:
                    logger.exception("pump failed; it goes on")
                    connection.close()
        finally:
            connection.close()
