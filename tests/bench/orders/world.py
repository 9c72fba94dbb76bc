"""The shop that a run is about: opened once, emptied before each run, checked after it."""

from __future__ import annotations

import gc
import itertools
import json
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from chat.log import execute
from chat.log.models import Event, Outbox, Receipt, StreamHead
from chat.messages.models import Message
from commerce.ids import new_id
from commerce.orders.models import Line, Order
from commerce.stock.models import Movement, Pool, Waiting
from livesale.accounts.models import User
from livesale.claims import gate
from tests.bench.orders.crowd import Tally, Wish
from tests.proofs.market import Market, drifts, units, units_in_lines

ROOMS = 50
# In a run that is to sell, and in one that has sold everything and refuses.
STOCK = 10_000_000
STOCK_SOLD_OUT = 500
WAITLIST = 20

_RUN_TABLES = (Event, Receipt, Outbox, Message, Movement, Waiting, Line, Order)


def open_market(people: int) -> Market:
    """A shop with a room per offer, all of one pool, and this many buyers."""
    return Market.open(rooms=ROOMS, people=people, stock=STOCK, limit=900, waitlist_cap=WAITLIST)


def to_text(market: Market) -> str:
    """The market without its people, for another process."""
    return json.dumps({**asdict(market), "people": []}, default=str)


def from_text(text: str) -> Market:
    """The market that another process has opened, with its people."""
    found = json.loads(text)
    one = {name: UUID(found[name]) for name in ("owner", "shop", "variant", "pool")}
    people = list(User.objects.exclude(id=one["owner"]).order_by("id").values_list("id", flat=True))
    return Market(
        **one, rooms=[*map(UUID, found["rooms"])], offers=[*map(UUID, found["offers"])], people=people
    )


@dataclass(slots=True)
class Start:
    """What there was before a run: units in the pool, claims that were answered, people who wait."""

    stock: int
    claims: list[Wish]
    waiting: int


def reset(market: Market, *, sold_out: bool) -> Start:
    """Empty what a run writes. The pool is full again, or everything is held and the waiting list is full."""
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for model in _RUN_TABLES:
            table = model._meta.db_table
            cursor.execute(f"TRUNCATE {table} CASCADE" if postgres else f"DELETE FROM {table}")
    StreamHead.objects.update(seq=0, floor=0)
    stock = STOCK_SOLD_OUT if sold_out else STOCK
    Pool.objects.filter(id=market.pool).update(stock=stock, held=0, sold=0, waiting=0, next_rank=1, version=1)
    Movement.objects.create(
        shop_id=market.shop,
        pool_id=market.pool,
        kind="receive",
        d_stock=stock,
        at=Order._meta.get_field("created_at").to_python("2026-01-01T00:00Z"),
    )
    # what was sold out a moment ago is not any more, behind everybody's back
    gate.forget({market.pool})
    start = Start(stock, _sell_out(market) if sold_out else [], WAITLIST if sold_out else 0)
    with connection.cursor() as cursor:
        if postgres:
            for hot in (Pool, StreamHead):
                cursor.execute(f"VACUUM ANALYZE {hot._meta.db_table}")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    settle_memory()
    return start


def settle_memory() -> None:
    """What is there before a run is no work for the collector, and it does not look often: as in a serving process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _sell_out(market: Market) -> list[Wish]:
    """Hold every unit and fill the waiting list. Returns the claims that got a unit."""
    body = json.dumps({"offer": str(market.offers[0])}).encode()
    wishes = [
        Wish("claim.place", market.rooms[0], person, new_id(), body)
        for person in market.people[-STOCK_SOLD_OUT - WAITLIST :]
    ]
    requests = [
        execute.build(w.room, w.name, w.raw, actor_id=w.person, client_id=w.client_id) for w in wishes
    ]
    execute.execute_all(requests)
    for wish, request in zip(wishes, requests, strict=True):
        assert request.answer is not None, request.error
        wish.line = request.answer["line"]
    return [wish for wish in wishes if wish.line is not None]


def warm(market: Market) -> None:
    """Let the planner know how many people and rooms there are."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def check(market: Market, start: Start, tally: Tally) -> list[str]:
    """What does not hold after a run."""
    wrong = []
    before = len(start.claims)
    claims = before + start.waiting + tally.accepted
    told = Event.objects.filter(kind="claim.answered").count()
    receipts = Receipt.objects.count()
    # carried out, but cut off before the answer was heard
    unheard = told - claims
    if not 0 <= unheard <= tally.unanswered or receipts != told + tally.messages:
        wrong.append(f"{claims} claims, {told} events; {tally.messages} messages, {receipts} receipts")
    expected = before + tally.units
    stock, held, sold = units(market.pool)
    lines = units_in_lines(market.pool)
    if (stock, sold, lines) != (start.stock, 0, {"held": held} if held else {}) or not (
        expected + unheard <= held <= expected + 2 * unheard
    ):
        wrong.append(f"answered {expected} units, pool {stock, held, sold}, lines {lines}")
    sent = Event.objects.filter(kind="message.sent").count()
    if not sent == Message.objects.count() == tally.messages:
        wrong.append(f"{tally.messages} messages answered, {sent} events")
    if not Outbox.objects.filter(name="stock.settle").exists() and expected:
        wrong.append("nobody promised to look when the holds are over")
    if Order.objects.exclude(Q(state="open")).exists():
        wrong.append("an order that is not a basket")
    wrong += [
        f"{d.kind} {d.subject}: expected {d.expected}, found {d.found}" for d in itertools.islice(drifts(), 3)
    ]
    return wrong


def settings_in_force() -> dict[str, str]:
    """What the database says about durability."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            found: dict[str, Any] = {}
            for name in (
                "server_version",
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "shared_buffers",
                "commit_delay",
                "commit_siblings",
            ):
                cursor.execute(f"SHOW {name}")
                found[name] = cursor.fetchone()[0]
            return found
        cursor.execute("SELECT sqlite_version()")
        found = {"version": cursor.fetchone()[0]}
        for name in ("journal_mode", "synchronous"):
            cursor.execute(f"PRAGMA {name}")
            found[name] = str(cursor.fetchone()[0])
        return found
