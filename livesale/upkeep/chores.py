"""What goes by itself when its time is over, each in small transactions. The audit and the ledger of stock never do."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import Error
from django.utils.timezone import now as wall_clock

from chat.log import clock, streams
from chat.log.models import Event, StreamHead
from chat.messages.services import drop_old
from chat.rooms.models import Room
from commerce.orders.services import drop_old_contacts
from commerce.payments.services import drop_old_attempts
from livesale.accounts.models import Ticket
from livesale.personal import erasure
from livesale.upkeep.models import Chore

logger = logging.getLogger(__name__)

# Rows of one transaction.
SLICE = 1_000
# Receipts looked at in one: most of an order's are kept and only passed by.
RECEIPTS = 5_000
# The newest events of a stream stay however old they are: what a page shows, and what a client may have missed.
KEEP_EVENTS = 1_000
# A clock that was set back makes an id younger again.
SLACK = timedelta(hours=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# Promises that were given up are for people to look at; attempts to pay, for what a gateway may still report.
KEEP_FAILED = 90 * DAY
KEEP_ATTEMPTS = 365 * DAY

pruned: Counter[str] = Counter()
"""How many rows of what this process has removed since it began."""


@dataclass(frozen=True)
class Kind:
    """A regular chore. `work` yields after each transaction how many rows it has removed, so that others get a turn."""

    name: str
    every: timedelta
    work: Callable[[Chore], Iterator[int]]


def _repeated(slice_: Callable[[], int]) -> Iterator[int]:
    while gone := slice_():
        yield gone


def _erasures(chore: Chore) -> Iterator[int]:
    yield erasure.carry_out_due()


def _log(chore: Chore) -> Iterator[int]:
    if not settings.KEEP_LOG_DAYS:
        return
    before = clock.now() - timedelta(days=settings.KEEP_LOG_DAYS)
    while found := streams.streams_with_old_events(before=before, keep=KEEP_EVENTS, most=100):
        for stream_id in found:
            yield from _repeated(
                lambda s=stream_id: streams.prune_old(s, before=before, keep=KEEP_EVENTS, most=SLICE)  # type: ignore[misc]
            )


def _messages(chore: Chore) -> Iterator[int]:
    """Those that no event names any more: they cannot be read, so they need not be kept."""
    pruned_rooms = StreamHead.objects.filter(floor__gt=0, stream_id__in=Room.objects.values("id"))
    for room_id, floor in list(pruned_rooms.values_list("stream_id", "floor")):
        first = Event.objects.filter(stream_id=room_id, seq=floor + 1).values_list("at", flat=True).first()
        if first is not None:
            yield from _repeated(lambda r=room_id, at=first: drop_old(r, before=at, most=SLICE))  # type: ignore[misc]


def _receipts(chore: Chore) -> Iterator[int]:
    older_than = clock.now() - timedelta(days=settings.KEEP_RECEIPTS_DAYS) - SLACK
    after = chore.after or streams.NO_ID
    while True:
        gone, after = streams.drop_receipts(older_than=older_than, after=after, most=RECEIPTS)
        yield gone
        if after == streams.NO_ID:
            break
    chore.after = streams.settled_before(older_than)


def _promises(chore: Chore) -> Iterator[int]:
    before = clock.now() - KEEP_FAILED
    yield from _repeated(lambda: streams.drop_promises(older_than=before, most=SLICE))


def _contacts(chore: Chore) -> Iterator[int]:
    before = clock.now() - timedelta(days=settings.KEEP_CONTACTS_DAYS)
    yield from _repeated(lambda: drop_old_contacts(before=before, most=SLICE))


def _attempts(chore: Chore) -> Iterator[int]:
    before = clock.now() - KEEP_ATTEMPTS
    yield from _repeated(lambda: drop_old_attempts(before=before, most=SLICE))


def _tickets(chore: Chore) -> Iterator[int]:
    yield Ticket.objects.filter(expires_at__lt=clock.now()).delete()[0]


def _sessions(chore: Chore) -> Iterator[int]:
    def slice_() -> int:
        # sessions end by the clock of the process that made them
        ended = Session.objects.filter(expire_date__lt=wall_clock()).values_list("session_key", flat=True)
        return Session.objects.filter(session_key__in=list(ended[:SLICE])).delete()[0]

    yield from _repeated(slice_)


KINDS = (
    Kind("erasures", timedelta(0), _erasures),
    Kind("tickets", HOUR, _tickets),
    Kind("sessions", HOUR, _sessions),
    Kind("receipts", HOUR, _receipts),
    Kind("events", HOUR, _log),
    Kind("messages", HOUR, _messages),
    Kind("promises", DAY, _promises),
    Kind("contacts", DAY, _contacts),
    Kind("attempts", DAY, _attempts),
)


def do(kind: Kind, pause: Callable[[], None]) -> int:
    """Do one chore to its end; `pause` is called between its transactions. Returns how many rows went."""
    chore, _ = Chore.objects.get_or_create(name=kind.name)
    total = 0
    for gone in kind.work(chore):
        total += gone
        pruned[kind.name] += gone
        pause()
    chore.done_at = clock.now()
    chore.save()
    return total


def do_due(pause: Callable[[], None] = lambda: None) -> Counter[str]:
    """Do what was not done for its while; returns what has gone."""
    now = clock.now()
    done: dict[str, datetime | None] = dict(Chore.objects.values_list("name", "done_at"))
    found: Counter[str] = Counter()
    for kind in KINDS:
        last = done.get(kind.name)
        # a clock that was set back must not keep everything for ever
        if last is None or not now - kind.every < last <= now:
            try:
                found[kind.name] = do(kind, pause)
            except Error:
                raise
            except Exception:
                logger.exception("the chore %s failed; it is tried again", kind.name)
    return found


def do_all() -> Counter[str]:
    """Do everything now."""
    return Counter({kind.name: do(kind, lambda: None) for kind in KINDS})
