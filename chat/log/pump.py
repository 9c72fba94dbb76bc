"""The pump: carries out what transactions have promised. Follow-ups, what is due, effects to the outside.

Every serving process pumps. A row is leased for a few seconds, so that processes share the work; that a command is
executed once does not hang on the lease but on its row, which goes in the transaction that executes it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error, connection, transaction
from django.db.models import Count, F, Min, Q, QuerySet

from chat.log import clock, registry
from chat.log.batch import SYSTEM, Request
from chat.log.errors import Refused
from chat.log.execute import execute_all, parse
from chat.log.models import Outbox

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=10)
# Calls to the outside may take long, one after the other: few are taken at a time.
EFFECT_LEASE = timedelta(seconds=60)
EFFECTS_TAKEN = 10
# Idle pumps look this often, in seconds: a hold that lapses reaches the next in line within two of them.
INTERVAL = 0.5
TAKE = 200
MAX_ATTEMPTS = 12


def _due(now: datetime, *, effects: bool) -> QuerySet[Outbox]:
    return Outbox.objects.filter(
        Q(leased_until__isnull=True) | Q(leased_until__lte=now),
        at__lte=now,
        failed=False,
        stream_id__isnull=effects,
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the promises stand, of all processes."""

    due: int
    oldest: float
    """For how long the oldest has been due, in seconds."""
    failed: int


def waiting() -> Waiting:
    """What should have been done by now. A few that are younger than a pump's interval are as it should be."""
    now = clock.now()
    due = Q(failed=False, at__lte=now)
    found = Outbox.objects.aggregate(
        due=Count("id", filter=due), oldest=Min("at", filter=due), failed=Count("id", filter=Q(failed=True))
    )
    oldest = max(0.0, (now - found["oldest"]).total_seconds()) if found["oldest"] else 0.0
    return Waiting(found["due"], oldest, found["failed"])


def take(now: datetime, *, effects: bool) -> list[dict[str, Any]]:
    """Lease the rows that are due: commands, or effects."""
    with transaction.atomic():
        rows = (
            _due(now, effects=effects)
            .order_by("at", "id")
            .values("id", "stream_id", "name", "payload", "attempts")
        )
        if connection.vendor == "postgresql":
            rows = rows.select_for_update(skip_locked=True)
        taken: list[dict[str, Any]] = [dict(row) for row in rows[: EFFECTS_TAKEN if effects else TAKE]]
        Outbox.objects.filter(id__in=[row["id"] for row in taken]).update(
            leased_until=now + (EFFECT_LEASE if effects else LEASE), attempts=F("attempts") + 1
        )
    return taken


def pump_once() -> int:
    """Carry out what is due now; returns how many rows were taken."""
    return pump_commands() + pump_effects()


def pump_commands() -> int:
    """Carry out follow-ups and what time has made true; returns how many rows were taken."""
    now = clock.now()
    if not _due(now, effects=False).exists():
        return 0
    taken = take(now, effects=False)
    commands = [request for row in taken if (request := _command(row, now)) is not None]
    if commands:
        execute_all(commands)
        # a promise kept or refused is gone with its transaction; what failed stays and is taken again
        attempts = {row["id"]: row["attempts"] for row in taken}
        for r in commands:
            if r.error is not None:
                _again(
                    r.client_id,
                    attempts[r.client_id],
                    now,
                    give_up=not getattr(r.error, "temporary", False),
                )
    return len(taken)


def pump_effects() -> int:
    """Call the outside for what was promised; returns how many rows were taken."""
    now = clock.now()
    if not _due(now, effects=True).exists():
        return 0
    taken = take(now, effects=True)
    for row in taken:
        _effect(row, now)
    return len(taken)


def _command(row: dict[str, Any], now: datetime) -> Request | None:
    spec = registry.COMMANDS.get(row["name"])
    try:
        if spec is None:
            raise Refused("command.unknown", name=row["name"])
        body = parse(spec, row["payload"])
    except Refused as refusal:
        # while two versions run side by side the other one may well understand it
        logger.error("outbox row %s (%s) cannot be understood: %s", row["id"], row["name"], refusal.code)
        _again(row["id"], row["attempts"], now)
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


def _again(row_id: UUID, attempts: int, now: datetime, *, give_up: bool = True) -> None:
    """Try a row later, each time after twice as long; `give_up` after the last attempt."""
    if give_up and attempts + 1 >= MAX_ATTEMPTS:
        Outbox.objects.filter(id=row_id).update(failed=True)
    else:
        wait = timedelta(seconds=min(2 ** min(attempts, 10), 300))
        Outbox.objects.filter(id=row_id).update(leased_until=now + wait)


def retry_failed(names: Collection[str]) -> int:
    """Make promises of these kinds that were put aside due again, with all their attempts; returns how many."""
    failed = Outbox.objects.filter(failed=True, name__in=names)
    return failed.update(failed=False, attempts=0, leased_until=None)


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
    """The pump's threads in a serving process: a slow mail server delays no hold that lapses."""

    def __init__(self) -> None:
        self._wakes = {"pump": threading.Event(), "effects": threading.Event()}
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(pump_commands, TAKE), name="pump", daemon=True),
            threading.Thread(
                target=self._run, args=(pump_effects, EFFECTS_TAKEN), name="effects", daemon=True
            ),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at once: something was promised for now."""
        for wake in self._wakes.values():
            wake.set()

    def stop(self, timeout: float = 5.0) -> None:
        self._stopping = True
        self.wake()
        for thread in self._threads:
            thread.join(timeout)

    def _run(self, work: Callable[[], int], full: int) -> None:
        wake = self._wakes[threading.current_thread().name]
        try:
            while not self._stopping:
                wake.wait(INTERVAL)
                wake.clear()
                try:
                    while not self._stopping and work() >= full:
                        pass
                except Error as error:
                    logger.warning("pump: %s", type(error).__name__)
                    connection.close()
                except Exception:
                    logger.exception("pump failed; it goes on")
                    connection.close()
        finally:
            connection.close()
