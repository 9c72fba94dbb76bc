"""Closed-loop buyers in one process, and the checks that every run must pass. Runs in a child with its own database."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q
from uuid_utils.compat import uuid7

from chat.log.batch import Outcome, Request
from chat.log.execute import build
from chat.log.lane import Lane
from chat.log.models import Event, Outbox, Receipt, StreamHead
from chat.messages.models import Message
from chat.realtime.answers import AnswerBridge
from commerce.orders.models import Line, Order
from commerce.stock.models import Movement, Pool, Waiting
from tests.bench import naive
from tests.proofs.market import Market, drifts, units, units_in_lines

BUYERS = 500
ROOMS = 50
PEOPLE = 30_000
STOCK = 10_000_000
CLAIMS_EACH = 3
TWO_UNITS = 0.10
RETRIES = 0.05
CHAT = 0.70

TALK = ("love that colour", "does it run small?", "hello from Hamburg", "two more minutes please", "wow")


@dataclass(slots=True)
class Order_:
    """One thing a person does."""

    name: str
    room: UUID
    person: UUID
    client_id: UUID
    raw: bytes
    sent_at: float = 0.0
    again: bool = False
    line: str | None = None


class Crowd:
    """What 500 people at a time do: each claims a few times, then the next person has the place. Seeded."""

    def __init__(self, market: Market, *, chat: float, rooms: int, seed: int) -> None:
        self._market = market
        self._chat = chat
        self._rooms = rooms
        self._random = random.Random(seed)
        self._people = itertools.cycle(market.people)
        self._slots: list[tuple[UUID, int]] = [(next(self._people), CLAIMS_EACH) for _ in range(BUYERS)]
        self._bodies = {
            offer: [json.dumps({"offer": str(offer), "qty": qty}).encode() for qty in (1, 2)]
            for offer in market.offers
        }
        self._talk = [json.dumps({"text": text}).encode() for text in TALK]

    def next(self, slot: int) -> Order_:
        person, left = self._slots[slot]
        if left == 0:
            person, left = next(self._people), CLAIMS_EACH
        self._slots[slot] = (person, left - 1)
        roll = self._random.random
        at = int(roll() * self._rooms)
        if self._chat and roll() < self._chat:
            return Order_("say", self._market.rooms[at], person, uuid7(), self._talk[int(roll() * len(TALK))])
        body = self._bodies[self._market.offers[at]][roll() < TWO_UNITS]
        return Order_("claim.place", self._market.rooms[at], person, uuid7(), body)

    def comes_again(self) -> bool:
        return self._random.random() < RETRIES


@dataclass
class Tally:
    """What was answered."""

    accepted: int = 0
    messages: int = 0
    repeated: int = 0
    units: int = 0
    wrong: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def take(self, order: Order_, answer: dict[str, Any] | None, error: BaseException | None) -> None:
        now = time.perf_counter()
        if error is not None or answer is None:
            self.wrong.append(f"{order.name}: {error!r}")
        elif order.again:
            self.repeated += 1
            if answer.get("line") != order.line:
                self.wrong.append("a repeated claim got another answer")
        elif order.name == "say":
            self.messages += 1
            self.waits.append(now - order.sent_at)
        else:
            self.accepted += 1
            self.units += answer["got"]
            order.line = answer["line"]
            self.waits.append(now - order.sent_at)

    @property
    def done(self) -> int:
        return self.accepted + self.messages


# --- the two ways -------------------------------------------------------------------------------------------------


async def _through_lane(crowd: Crowd, seconds: float, tally: Tally) -> tuple[float, int]:
    """Every buyer has one command in the lane; its answer comes back to the event loop, as a socket's would."""
    lane = Lane(lambda outcome: None)
    bridge = AnswerBridge()
    finished = asyncio.Event()
    open_buyers = BUYERS
    started = time.perf_counter()
    until = started + seconds

    def submit(slot: int, order: Order_) -> None:
        order.sent_at = time.perf_counter()
        request = build(order.room, order.name, order.raw, actor_id=order.person, client_id=order.client_id)
        request.done = bridge.to(lambda r: answered(slot, order, r))
        lane.submit(request)

    def answered(slot: int, order: Order_, request: Request) -> None:
        nonlocal open_buyers
        tally.take(order, request.answer, request.error)
        if time.perf_counter() >= until:
            open_buyers -= 1
            if not open_buyers:
                finished.set()
            return
        if not order.again and order.name != "say" and crowd.comes_again():
            order.again = True
            submit(slot, order)
        else:
            submit(slot, crowd.next(slot))

    lane.start()
    for slot in range(BUYERS):
        submit(slot, crowd.next(slot))
    await finished.wait()
    elapsed = time.perf_counter() - started
    lane.stop()
    return elapsed, lane.batches


def through_lane(crowd: Crowd, seconds: float, tally: Tally) -> tuple[float, int]:
    return asyncio.run(_through_lane(crowd, seconds, tally))


def through_orm(crowd: Crowd, seconds: float, tally: Tally, *, threads: int) -> tuple[float, int]:
    """Every buyer waits for one of `threads` workers, each with its own connection."""
    ready: deque[tuple[int, Order_]] = deque()
    lock = threading.Lock()
    started = time.perf_counter()
    until = started + seconds
    for slot in range(BUYERS):
        order = crowd.next(slot)
        order.sent_at = started
        ready.append((slot, order))

    def work() -> None:
        try:
            while time.perf_counter() < until:
                with lock:
                    slot, order = ready.popleft()
                answer, error = None, None
                try:
                    answer = naive.place_claim(order.room, order.person, order.client_id, order.raw)
                except Exception as raised:
                    error = raised
                with lock:
                    tally.take(order, answer, error)
                    if not order.again and crowd.comes_again():
                        order.again = True
                    else:
                        order = crowd.next(slot)
                    order.sent_at = time.perf_counter()
                    ready.append((slot, order))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started, tally.accepted + tally.repeated


DESIGNS: dict[str, tuple[str, Callable[[Crowd, float, Tally], tuple[float, int]], float, int]] = {
    "claims": ("claims through the lane, one hot offer", through_lane, 0.0, 1),
    "mix": ("70 % chat, 30 % claims through the lane, 50 rooms", through_lane, CHAT, ROOMS),
    "naive1": ("claims by ORM, 1 thread", lambda c, s, t: through_orm(c, s, t, threads=1), 0.0, 1),
    "naive8": ("claims by ORM, 8 threads", lambda c, s, t: through_orm(c, s, t, threads=8), 0.0, 1),
}


# --- one run ------------------------------------------------------------------------------------------------------

_RUN_TABLES = (Event, Receipt, Outbox, Message, Movement, Waiting, Line, Order)


def reset(market: Market) -> None:
    """Empty what a run writes; the pool is full again."""
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for model in _RUN_TABLES:
            table = model._meta.db_table
            cursor.execute(f"TRUNCATE {table} CASCADE" if postgres else f"DELETE FROM {table}")
    StreamHead.objects.update(seq=0, floor=0)
    Pool.objects.filter(id=market.pool).update(stock=STOCK, held=0, sold=0, waiting=0, version=1)
    pool = Pool.objects.get(id=market.pool)
    Movement.objects.create(
        shop_id=market.shop,
        pool=pool,
        kind="receive",
        d_stock=STOCK,
        at=Order._meta.get_field("created_at").to_python("2026-01-01T00:00Z"),
    )
    with connection.cursor() as cursor:
        if postgres:
            cursor.execute("VACUUM ANALYZE commerce_pool")
            cursor.execute("VACUUM ANALYZE stream_head")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    gc.collect()


def run(market: Market, design: str, seconds: float, seed: int) -> dict[str, Any]:
    """One verified run."""
    reset(market)
    _, way, chat, rooms = DESIGNS[design]
    crowd = Crowd(market, chat=chat, rooms=rooms, seed=seed)
    tally = Tally()
    app, database, machine = _own_cpu(), _postgres_cpu(), _machine_cpu()
    elapsed, batches = way(crowd, seconds, tally)
    app, database = _own_cpu() - app, _postgres_cpu() - database
    others = (_machine_cpu() - machine - app - database) / elapsed / (os.cpu_count() or 1)
    wrong = [*tally.wrong[:3], *(f"{w}" for w in check(market, tally))]
    waits = sorted(tally.waits)
    return {
        "design": design,
        "done": tally.done,
        "accepted": tally.accepted,
        "messages": tally.messages,
        "repeated": tally.repeated,
        "seconds": round(elapsed, 3),
        "rate": round(tally.done / elapsed, 1),
        "batch": round((tally.done + tally.repeated) / max(1, batches), 1),
        "app_us": round(app / tally.done * 1e6, 1),
        "db_us": round(database / tally.done * 1e6, 1),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 1),
        "others": round(max(0.0, others), 2),
        "wrong": wrong,
    }


def check(market: Market, tally: Tally) -> list[str]:
    """What does not hold after a run."""
    wrong = []
    stock, held, sold = units(market.pool)
    lines = units_in_lines(market.pool)
    if (stock, held, sold) != (STOCK, tally.units, 0) or lines != {"held": tally.units}:
        wrong.append(f"answered {tally.units} units, pool {stock, held, sold}, lines {lines}")
    told = Event.objects.filter(kind="claim.answered").count()
    receipts = Receipt.objects.count()
    if told != tally.accepted or receipts != tally.done:
        wrong.append(f"{tally.accepted} claims, {told} events; {tally.done} commands, {receipts} receipts")
    sent = Event.objects.filter(kind="message.sent").count()
    if not sent == Message.objects.count() == tally.messages:
        wrong.append(f"{tally.messages} messages answered, {sent} events")
    if not Outbox.objects.filter(name="stock.settle").exists() and tally.accepted:
        wrong.append("nobody promised to look when the holds are over")
    if Order.objects.exclude(Q(state="open")).exists():
        wrong.append("an order that is not a basket")
    wrong += [
        f"{d.kind} {d.subject}: expected {d.expected}, found {d.found}" for d in itertools.islice(drifts(), 3)
    ]
    return wrong


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


def _postgres_cpu() -> float:
    """CPU seconds of the database server's processes, ended ones included; 0 where there is none of ours."""
    postmaster = os.environ.get("BENCH_POSTMASTER")
    if not postmaster:
        return 0.0
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if stat.parts[2] == postmaster:
            total += sum(int(f) for f in fields[11:15])
        elif fields[1] == postmaster:
            total += int(fields[11]) + int(fields[12])
    return total / ticks


def _machine_cpu() -> float:
    """CPU seconds that all processes of the machine have used, and what its host took from it."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, stolen = (int(word) for word in words[:8])
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")


def settings_in_force() -> dict[str, str]:
    """What the database says about durability."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            found = {}
            for name in (
                "server_version",
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "shared_buffers",
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


def market_for_bench(people: int = PEOPLE) -> Market:
    return Market.open(rooms=ROOMS, people=people, stock=STOCK, limit=900)


__all__ = ["DESIGNS", "Outcome", "market_for_bench", "run", "settings_in_force"]
