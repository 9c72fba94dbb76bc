"""One transaction for many commands: lock, look up receipts, load, decide, number, write, commit.

The order of locks is written once, here: stream heads by id, then parts by rank (pools by id, then the rest).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from chat.log import clock, store
from chat.log.batch import (
    Batch,
    Committed,
    CommittedEvent,
    Emitted,
    Outcome,
    Part,
    Request,
    encode,
)
from chat.log.errors import Refused, busy
from chat.log.hydration import at_ms, encode_event, hydrate
from chat.log.models import Event
from chat.log.registry import EVENTS, REFUSALS
from chat.log.stats import stats

logger = logging.getLogger(__name__)

# Receipts are kept this long; an older client id is refused, because a repeat could not be recognised.
RECEIPT_RETENTION = timedelta(days=7)
# How long a stream may stay locked by somebody else before its commands are answered `server.busy`, in seconds.
LOCKED_PATIENCE = 3.0
# A wait this short for a locked head costs less than a smaller batch.
HEAD_WAIT_MS = 5
# Any other lock is waited for this long (PostgreSQL looks for deadlocks after one second). While those are sought who
# need a lock that cannot be had, less.
LOCK_WAIT_MS = 2_000
SEARCH_WAIT_MS = 100
# A failing batch is searched for its poisoned commands for this long, in seconds.
BISECT_BUDGET = 2.0
# Postgres: classes of errors that no single command is to blame for. Connection, rollback, resources, locks, operator,
# system.
_SERVERS_FAULT = {"08", "40", "53", "55", "57", "58"}
# Postgres: a statement that took too long, one that somebody canceled, and a lock that came in the very moment in which
# the wait for it was over: the timeout has raised its signal by then, and is not remembered as its reason.
_CANCELED = "57014"
_TOO_LONG = "statement timeout"
_SQLITE_ERROR = 1
# Postgres: what makes a transaction worth repeating as it is.
_SERIALIZATION = {"40001", "40P01"}
_LOCK_TIMEOUT = "55P03"
# Two processes have carried out the same id on two streams at once: the second finds the receipt when it looks again.
_UNIQUE = "23505"

_DONE = object()


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind a Django database error, or '' where there is none."""
    cause: BaseException | None = error
    while cause is not None:
        state = getattr(cause, "sqlstate", None)
        if state:
            return str(state)
        cause = cause.__cause__
    return ""


def _is_servers_fault(error: Exception) -> bool:
    """Whether a database error says nothing about the commands. Unknown ones are taken to be: they are repeated."""
    state = sqlstate(error)
    if state == _CANCELED:
        # one that takes too long is somebody's
        return _TOO_LONG not in str(error)
    if state:
        return state[:2] in _SERVERS_FAULT
    # SQLite calls a wrong statement operational, too
    return getattr(error.__cause__, "sqlite_errorcode", 0) != _SQLITE_ERROR


def run(requests: Sequence[Request]) -> Outcome:
    """Carry out these requests in as few transactions as possible, and set `answer` or `error` on each.

    Never raises for what a request or the database does: a deadlock is retried once, a lost connection is looked up
    in the receipts, a poisoned command is found by bisection and fails alone. Requests of streams that somebody else
    keeps locked come back in `Outcome.deferred`, untouched.
    """
    outcome = Outcome()
    _run(list(requests), outcome, _Search(), retries=1)
    return outcome


@dataclass(slots=True)
class _Search:
    """How patient the hunt for what makes a batch fail still is."""

    deadline: float = float("inf")
    lock_wait_ms: int = LOCK_WAIT_MS

    @property
    def over(self) -> bool:
        return time.monotonic() > self.deadline

    def begin(self, error: Exception) -> None:
        if self.deadline == float("inf"):
            self.deadline = time.monotonic() + BISECT_BUDGET
        if sqlstate(error) == _LOCK_TIMEOUT:
            self.lock_wait_ms = SEARCH_WAIT_MS


def _run(requests: list[Request], outcome: Outcome, search: _Search, *, retries: int) -> None:
    for r in requests:
        r.answer, r.error, r.repeated = None, None, False
    try:
        _attempt(requests, outcome, search)
    except Exception as error:
        stats.retried += 1
        if isinstance(error, OperationalError | InterfaceError) and _is_servers_fault(error):
            _after_database_trouble(requests, outcome, error, search, retries=retries)
        elif retries > 0 and sqlstate(error) == _UNIQUE:
            _run(requests, outcome, search, retries=retries - 1)
        elif isinstance(error, DatabaseError) and retries > 0 and not connection.is_usable():
            _after_database_trouble(requests, outcome, error, search, retries=retries)
        else:
            _bisect(requests, outcome, error, search)
        _let_go(error)


def _let_go(error: BaseException) -> None:
    """Free what failed at once: the frames of an error of Django's hold it, and the whole batch with it."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__


def _after_database_trouble(
    requests: list[Request], outcome: Outcome, error: Exception, search: _Search, *, retries: int
) -> None:
    state = sqlstate(error)
    if not connection.in_atomic_block:
        # after a failure at COMMIT nobody knows; the next attempt starts from the receipts on a new connection
        connection.close()
    if state == _LOCK_TIMEOUT:
        # only those who need the lock that could not be had are told to wait
        _bisect(requests, outcome, error, search)
        return
    if retries > 0:
        _run(requests, outcome, search, retries=retries - 1)
        return
    logger.warning("transaction of %d commands failed: %s %s", len(requests), type(error).__name__, state)
    for r in requests:
        r.answer, r.error = None, busy() if state in _SERIALIZATION else _unavailable()


def _unavailable() -> Refused:
    return Refused("server.unavailable", temporary=True, retry_after=2.0)


def _bisect(requests: list[Request], outcome: Outcome, error: Exception, search: _Search) -> None:
    if len(requests) == 1:
        request = requests[0]
        request.answer = None
        if sqlstate(error) == _LOCK_TIMEOUT:
            request.error = busy()
        else:
            told = {"command_id": request.client_id}
            logger.error("command %s failed", request.spec.name, exc_info=error, extra=told)
            request.error = Refused("server.error")
        return
    search.begin(error)
    if search.over:
        logger.error(
            "batch of %d commands failed and time to search it is over", len(requests), exc_info=error
        )
        for r in requests:
            r.answer, r.error = None, busy()
        return
    middle = len(requests) // 2
    _run(requests[:middle], outcome, search, retries=1)
    _run(requests[middle:], outcome, search, retries=1)


def _attempt(requests: list[Request], outcome: Outcome, search: _Search) -> None:
    batch = Batch(requests)
    try:
        _carry_out(batch, requests, outcome, search)
    finally:
        batch.end()


def _carry_out(batch: Batch, requests: list[Request], outcome: Outcome, search: _Search) -> None:
    with transaction.atomic():
        # asked together: the receipts are read when the heads are locked
        heads = store.lock_heads(
            {r.stream_id for r in requests}, skip_locked=True, lock_wait_ms=search.lock_wait_ms
        )
        own = [r for r in requests if not r.promised]
        receipts, time_of_day = store.find_receipts(own), clock.ask()
        batch.heads = heads()
        at_once = len(batch.heads)
        deferred = _leave_out_locked(batch, requests)
        if len(batch.heads) > at_once:
            # some heads were had a moment later, and with them what their last holder has answered
            receipts, time_of_day = store.find_receipts(own), clock.ask()
        waiting = {id(r) for r in deferred}
        live = [r for r in requests if id(r) not in waiting]
        fresh, doubled = _answer_repeats(live, receipts())
        _declare(batch, fresh)
        parts = sorted(batch.parts.values(), key=lambda p: p.rank)
        locking = [part.lock() for part in parts]
        if any(locking):
            # read once all locks are held
            time_of_day = clock.ask()
        batch.now = time_of_day()
        _load(parts, batch.now)
        accepted = _decide(batch, fresh)
        for part in parts:
            part.finish(batch.now)
        # a part may have been made by `finish` of none: the list is fixed once loading has begun
        for part in parts:
            part.write(batch.now, store.insert_rows)
        committed, encoded = _write_log(batch)
        store.write_receipts([r for r in accepted if not r.promised], batch.now, encoded)
        store.keep_promises([r.client_id for r in live if r.promised and _is_settled(r)])
        store.write_promises(list(batch.promises.values()), batch.now)
        store.commit()
    for second, first in doubled:
        _repeat_first(second, first)
    outcome.deferred.extend(deferred)
    outcome.committed.extend(committed)
    outcome.signals.extend(batch.signals.values())
    outcome.doorbells |= batch.doorbells
    outcome.promised_now |= any(p.at is None or p.at <= batch.now for p in batch.promises.values())
    for callback in batch.on_commit:
        try:
            callback()
        except Exception:
            # it is committed: nothing may be carried out again
            logger.exception("what should follow a commit failed")


def _is_settled(request: Request) -> bool:
    """Whether a promised command is done with: carried out, or refused for good."""
    if request.error is None:
        return True
    if getattr(request.error, "temporary", False):
        return False
    code = getattr(request.error, "code", type(request.error).__name__)
    told = {"command_id": request.client_id}
    logger.warning("promised %s was refused: %s", request.spec.name, code, extra=told)
    return True


def _load(parts: Sequence[Part], now: datetime) -> None:
    """Let every part ask, then let every part read: what they ask travels together."""
    asking = [loading for part in parts if (loading := part.load(now)) is not None]
    while asking:
        asking = [loading for loading in asking if next(loading, _DONE) is not _DONE]


def _leave_out_locked(batch: Batch, requests: list[Request]) -> list[Request]:
    """Leave out the streams that stay locked past a few milliseconds."""
    wanted = {r.stream_id for r in requests}
    missing = wanted - batch.heads.keys()
    if not missing:
        return []
    if connection.vendor == "postgresql":
        batch.heads.update(_lock_briefly(missing))
        missing = wanted - batch.heads.keys()
    existing = store.existing_streams(missing) if missing else set()
    deferred: list[Request] = []
    now = time.monotonic()
    for r in requests:
        if r.stream_id not in missing:
            continue
        if r.stream_id not in existing:
            r.error = Refused("stream.unknown")
            continue
        r.first_deferred_at = r.first_deferred_at or now
        if now - r.first_deferred_at > LOCKED_PATIENCE:
            r.error = busy()
        else:
            deferred.append(r)
    return deferred


def _lock_briefly(stream_ids: set[UUID]) -> dict[UUID, store.Head]:
    # Waiting for a head while holding others may close a circle with another process: the wait is shorter than
    # deadlock detection and ends in a skip, never in a deadlock.
    found: dict[UUID, store.Head] = {}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            usual = cursor.fetchone()[0]
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{HEAD_WAIT_MS}ms"])
            found = store.lock_heads(stream_ids, skip_locked=False)()
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    except OperationalError as error:
        if sqlstate(error) not in {_LOCK_TIMEOUT, _CANCELED}:
            raise
        _let_go(error)
    return found


def _answer_repeats(
    requests: list[Request], receipts: store.Receipts
) -> tuple[list[Request], list[tuple[Request, Request]]]:
    """Give requests that were answered before their stored answer.

    Returns the others, and apart from them the second ones of those that came twice, each with its first.
    """
    open_requests = [r for r in requests if r.error is None]
    promised = [r.client_id for r in open_requests if r.promised]
    open_promises = store.open_promises(promised) if promised else set()
    fresh: list[Request] = []
    doubled: list[tuple[Request, Request]] = []
    seen: dict[tuple[int, int], Request] = {}
    for r in open_requests:
        key = r.key
        known = receipts.get(key)
        if r.promised and r.client_id not in open_promises:
            # another process has executed this row
            r.repeated, r.answer = True, {}
        elif known is not None:
            r.repeat(*known)
        elif key in seen:
            doubled.append((r, seen[key]))
        else:
            seen[key] = r
            fresh.append(r)
    return fresh, doubled


def _repeat_first(second: Request, first: Request) -> None:
    second.repeated = True
    if first.fingerprint != second.fingerprint:
        second.error = Refused("command.reused")
    else:
        second.answer, second.error = first.answer, first.error


def _declare(batch: Batch, requests: list[Request]) -> None:
    by_command: dict[str, list[Request]] = {}
    for r in requests:
        if batch.heads[r.stream_id].kind not in r.spec.stream_kinds:
            r.error = Refused("stream.wrong_kind")
        else:
            by_command.setdefault(r.spec.name, []).append(r)
    for same in by_command.values():
        same[0].spec.handler.declare(batch, same)


def _decide(batch: Batch, requests: list[Request]) -> list[Request]:
    """Decide in arrival order. Returns the accepted ones."""
    accepted: list[Request] = []
    refusals = tuple(REFUSALS)
    oldest_ms = (batch.now - RECEIPT_RETENTION).timestamp() * 1000
    for r in requests:
        if r.error is not None:
            continue
        number = r.client_id.int
        # the version of the UUID is 7, and the time in it
        if number >> 80 < oldest_ms and number >> 76 & 0xF == 7:
            r.error = Refused("command.too_old")
            continue
        try:
            r.answer = r.spec.handler.decide(batch, r)
        except refusals as refusal:
            # without the frames, which hold the batch, which holds the request: until the garbage collector comes
            r.error = refusal.with_traceback(None)
        else:
            accepted.append(r)
    return accepted


def _write_log(batch: Batch) -> tuple[list[Committed], dict[int, bytes]]:
    """Number the events, make what readers get of them, store them and the heads.

    Returns what was committed, and the encoded bodies by the identity of the dictionaries, which the batch keeps.
    """
    encoded: dict[int, bytes] = {}
    rows = []
    committed = []
    new_seqs = {}
    moment = at_ms(batch.now)
    _hydrate_live([e for events in batch.events.values() for e in events])
    for stream_id, events in batch.events.items():
        head = batch.heads[stream_id]
        first = head.seq + 1
        travelling = []
        for seq, e in enumerate(events, first):
            # what is stored, told and answered is encoded once where it is the same
            body = encoded.get(id(e.body))
            if body is None:
                body = encoded[id(e.body)] = encode(e.body)
            wire = body if e.wire is e.body else e.wire
            rows.append((stream_id, seq, e.kind, e.audience, e.person_id, body, batch.now))
            person = e.body.get("person")
            travelling.append(
                CommittedEvent(
                    seq,
                    e.kind,
                    e.audience,
                    e.person_id,
                    encode_event(seq, e.kind, moment, wire),
                    UUID(person) if person else None,
                )
            )
        last = head.seq + len(events)
        new_seqs[stream_id] = last
        committed.append(Committed(stream_id, head.epoch, first, last, tuple(travelling)))
    store.insert_rows(Event, ("stream_id", "seq", "kind", "audience", "person_id", "body", "at"), rows)
    store.write_heads(new_seqs)
    return committed, encoded


def _hydrate_live(events: list[Emitted]) -> None:
    """Refill what the log does not hold, from the rows that this transaction has just written: live is as replay."""
    bare = [e for e in events if e.wire is e.body and EVENTS[e.kind].hydrate is not None]
    if bare:
        for e, body in zip(bare, hydrate([(e.kind, e.body) for e in bare]), strict=True):
            e.wire = body
