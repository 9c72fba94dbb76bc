"""The books as the database has them, read by a process beside the serving ones: `python -m tests.faults.books`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.faults.history import mark
from tests.proofs.stage import act, delivery_option, drifts, ledger, open_market, serve, tickets
from tests.wire.backstage import person, session

__all__ = ["act", "delivery_option", "drifts", "ledger", "open_market", "person", "session", "tickets"]

PAGE = 20_000


def totals() -> dict[str, int]:
    """Counts of what serving processes count as well."""
    from chat.log.models import StreamHead
    from chat.messages.models import Message

    return {
        "events": sum(StreamHead.objects.values_list("seq", flat=True)),
        "messages": Message.objects.count(),
    }


def quiet(seconds: float) -> list[int]:
    """Wait until nothing promised is due any more; what is due, and what was given up."""
    from chat.log.pump import waiting

    until = time.monotonic() + seconds
    while (found := waiting()).due and time.monotonic() < until:
        time.sleep(0.1)
    return [found.due, found.failed]


def answers(ids: list[str]) -> dict[str, Any]:
    """The stored answers of these commands; those that were never carried out have none."""
    from chat.log.models import Receipt

    return {
        str(c): a for c, a in Receipt.objects.filter(client_id__in=ids).values_list("client_id", "answer")
    }


def heads() -> dict[str, int]:
    from chat.log.models import StreamHead

    return {str(s): q for s, q in StreamHead.objects.values_list("stream_id", "seq")}


def log(stream: str, after: int) -> list[list[Any]]:
    """A page of a stream's log: [seq, mark, for whom], which is `*`, a person, or '' for the staff alone."""
    from chat.log.models import Audience, Event

    whom = {Audience.PUBLIC: lambda _: "*", Audience.STAFF: lambda _: ""}
    rows = Event.objects.filter(stream_id=stream, seq__gt=after).order_by("seq")[:PAGE]
    return [
        [seq, mark(kind, body), whom.get(audience, str)(who)]
        for seq, kind, body, audience, who in rows.values_list("seq", "kind", "body", "audience", "person_id")
    ]


def sequences() -> list[str]:
    """Streams whose log does not have exactly the numbers from 1 to what its head says."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.stream_id, h.seq, count(e.seq), min(e.seq), max(e.seq) FROM stream_head h "
            "LEFT JOIN event e ON e.stream_id = h.stream_id GROUP BY 1, 2 "
            "HAVING count(e.seq) <> h.seq OR (h.seq > 0 AND (min(e.seq) <> 1 OR max(e.seq) <> h.seq))"
        )
        return [str(row) for row in cursor.fetchall()]


def holds() -> list[str]:
    """Lines whose units did not end in exactly one way each time they were held, by the ledger."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "WITH moves AS (SELECT line_id, d_held, d_sold, "
            "sum(d_held) OVER (PARTITION BY line_id ORDER BY at, id) AS running "
            "FROM commerce_movement WHERE line_id IS NOT NULL) "
            "SELECT l.id, l.state, l.qty, sum(m.d_held), sum(m.d_sold), min(m.running), max(m.running) "
            "FROM commerce_line l JOIN moves m ON m.line_id = l.id GROUP BY 1, 2, 3 "
            "HAVING sum(m.d_held) <> CASE l.state WHEN 'held' THEN l.qty - l.qty_cancelled ELSE 0 END "
            "OR sum(m.d_sold) <> CASE l.state WHEN 'paid' THEN l.qty - l.qty_cancelled - l.qty_refunded ELSE 0 END "
            "OR min(m.running) < 0 OR max(m.running) > l.qty"
        )
        return [str(row) for row in cursor.fetchall()]


def state_of_line(line: str) -> str:
    from commerce.orders.models import Line

    return Line.objects.values_list("state", flat=True).get(id=line)


def overdue(seconds: float) -> int:
    """Lines that are held although their time was over so long ago."""
    from datetime import timedelta

    from chat.log import clock
    from commerce.orders.models import Line

    return Line.objects.filter(state="held", hold_until__lt=clock.now() - timedelta(seconds=seconds)).count()


def rows(people: list[str]) -> dict[str, int]:
    """How many rows there are of what these people's commands leave, each told apart from what time has made."""
    from chat.log.models import Event, Receipt
    from chat.messages.models import Message
    from chat.moderation.models import AuditEntry
    from commerce.orders.models import Line

    who = [UUID(p) for p in people]
    found = {
        "receipts": Receipt.objects.filter(actor_id__in=who).count(),
        "messages": Message.objects.filter(author_id__in=who).count(),
        "told messages": Event.objects.filter(kind="message.sent").count(),
        # a place in line that became a line has its own answer
        "lines": Line.objects.filter(buyer_id__in=who, turn=False).count(),
        "told claims": Event.objects.filter(kind="claim.answered", person_id__in=who).count(),
    }
    for action in ("member.ban", "member.unban", "stock.adjust", "member.timeout"):
        found[action] = AuditEntry.objects.filter(action=action).count()
    return found


def _patient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Once more on another connection: the database may have been away since the last question."""

    def ask(**arguments: Any) -> Any:
        from django.db import InterfaceError, OperationalError, connection

        try:
            return function(**arguments)
        except (OperationalError, InterfaceError):
            connection.close()
            return function(**arguments)

    return ask


if __name__ == "__main__":
    serve({name: _patient(found) for name, found in list(globals().items()) if callable(found)})
