"""A process beside the serving ones, with their database: sets the scene, acts without a socket, looks at the rows.

`stage.open_market(…)` calls `open_market` of this module over there: `python -m tests.proofs.stage`.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID


class Stage:
    """The asking end. Calls take turns; what runs for long over there is asked of a stage of its own.

    `module`: another one that offers its functions by `serve`. `code`: where another version of all this lies.
    """

    def __init__(
        self, env: Mapping[str, str], module: str = "tests.proofs.stage", code: Path | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=dict(env),
            cwd=code,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._turn = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            with self._turn:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                self._process.stdin.write(json.dumps([name, arguments], default=str) + "\n")
                self._process.stdin.flush()
                text = self._process.stdout.readline()
            if not text:
                raise RuntimeError(f"stage {name}: the process has ended")
            answer = json.loads(text)
            if "error" in answer:
                raise RuntimeError(f"stage {name}: {answer['error']}")
            return answer["result"]

        return call

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


# --- over there ---------------------------------------------------------------------------------------------------


def open_market(hold_for: int | None = None, **how: Any) -> dict[str, Any]:
    from tests.proofs.market import Market

    market = Market.open(**how)
    if hold_for is not None:
        market.hold_for(hold_for)
    return {
        name: getattr(market, name)
        for name in ("owner", "shop", "variant", "pool", "rooms", "offers", "people")
    }


def tickets(people: list[str]) -> list[str]:
    from livesale.accounts.identity import make_ticket

    return [make_ticket(UUID(person)) for person in people]


def act(stream: str, name: str, actor: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    from chat.log.execute import execute

    return execute(UUID(stream), name, body, actor_id=UUID(actor)).answer


def delivery_option(shop: str) -> str:
    """Some way in which a shop's goods are got."""
    from commerce.shops.models import DeliveryOption

    return str(DeliveryOption.objects.filter(shop_id=shop).values_list("id", flat=True)[0])


def head(stream: str) -> int:
    """The number of the last event of a stream."""
    from chat.log.models import Event

    return Event.objects.filter(stream_id=stream).count()


def drifts() -> list[str]:
    from tests.proofs.market import drifts as found

    return [f"{d.kind} {d.subject}: expected {d.expected}, found {d.found}" for d in found()]


def clock() -> int:
    """The wall clock that processes tell their clients, in milliseconds."""
    return int(time.time() * 1000)


def pool_row(pool: str) -> dict[str, int]:
    """A pool as the database has it."""
    from commerce.stock.models import Pool

    return dict(Pool.objects.values("stock", "held", "sold").get(id=pool))


def buy_beside(
    streams: list[list[Any]], people: list[str], attempts: int, seed: int, cancels: float = 0.3
) -> dict[str, int]:
    """Claims by `execute` in this process, which serves nobody: what a management command does. With cancels."""
    from chat.log.execute import execute

    chance = random.Random(seed)
    counts: dict[str, int] = {}
    for _ in range(attempts):
        stream, name, body = chance.choice(streams)
        person = UUID(chance.choice(people))
        try:
            answer = execute(UUID(stream), name, body, actor_id=person).answer
            said = "accepted"
            answer = answer.get("claim", answer)
            if answer.get("line") and chance.random() < cancels:
                execute(UUID(stream), "claim.cancel", {"line": answer["line"]}, actor_id=person)
        except Exception as error:
            said = getattr(error, "code", "")
            if not said:
                raise
        counts[said] = counts.get(said, 0) + 1
    return counts


def watch(pool: str, seconds: float) -> dict[str, int]:
    """Look at a pool, and at the lines on it, every few milliseconds: the most that was held and sold at any look."""
    from django.db import connection

    most = most_lines = looks = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            # one statement, so one state of the database
            cursor.execute(
                "SELECT held + sold, (SELECT COALESCE(SUM(qty - qty_cancelled - qty_refunded), 0) FROM commerce_line "
                "WHERE pool_id = p.id AND state IN ('held', 'paid')) FROM commerce_pool p WHERE id = %s",
                [UUID(pool)],
            )
            of_pool, of_lines = cursor.fetchone()
        most, most_lines, looks = max(most, of_pool), max(most_lines, int(of_lines)), looks + 1
        time.sleep(0.02)
    return {"pool": most, "lines": most_lines, "looks": looks}


def ledger(pool: str, limited: list[str]) -> dict[str, Any]:
    """Replay a pool's ledger: the most that was ever held and sold, in all and by one buyer on a limited offer."""
    from commerce.orders.models import Line
    from commerce.stock.models import Movement

    buyers = {
        i: (b, o) for i, b, o in Line.objects.filter(pool_id=pool).values_list("id", "buyer_id", "offer_id")
    }
    stock = taken = most = 0
    least_free: int | None = None
    each: dict[Any, int] = {}
    most_each = 0
    limits = {UUID(offer) for offer in limited}
    kinds: dict[str, int] = {}
    moves = Movement.objects.filter(pool_id=pool).order_by("at", "id")
    for line, kind, reason, d_stock, units in moves.values_list(
        "line_id", "kind", "reason", "d_stock", "d_held"
    ):
        stock += d_stock
        taken += units
        most = max(most, taken)
        if kind != "receive":
            least_free = min(stock - taken, least_free if least_free is not None else stock)
        if line is not None:
            each[buyers[line]] = each.get(buyers[line], 0) + units
            if buyers[line][1] in limits:
                most_each = max(most_each, each[buyers[line]])
        name = f"{kind} {reason}".strip()
        kinds[name] = kinds.get(name, 0) + 1
    return {"most": most, "least_free": least_free, "most_each": most_each, "kinds": kinds}


def lapses(pool: str) -> int:
    """How many holds on a pool were over and let go."""
    from commerce.stock.models import Movement

    return Movement.objects.filter(pool_id=pool, kind="release", reason="lapsed").count()


def receipts() -> dict[str, Any]:
    """Every stored answer by client id."""
    from chat.log.models import Receipt

    return {str(c): a for c, a in Receipt.objects.values_list("client_id", "answer")}


def receipts_of(people: list[str]) -> int:
    """How many commands of these people were carried out."""
    from chat.log.models import Receipt

    return Receipt.objects.filter(actor_id__in=people).count()


def counts() -> dict[str, int]:
    """How many rows there are of what a claim or a message leaves."""
    from chat.log.models import Event, Receipt
    from chat.messages.models import Message
    from commerce.orders.models import Line

    return {
        "receipts": Receipt.objects.count(),
        "lines": Line.objects.count(),
        "messages": Message.objects.count(),
        "told_claims": Event.objects.filter(kind="claim.answered").count(),
        "told_messages": Event.objects.filter(kind="message.sent").count(),
    }


def oversell(market: dict[str, Any], seed: int, guarded: bool) -> dict[str, int]:
    """Claims on one pool from three threads at once, in two rooms and the storefront.

    Not `guarded`: nobody locks the pool's row, the update asks for nothing, and the CHECK is gone. Run it on a
    database of its own.
    """
    from contextlib import ExitStack
    from unittest import mock

    from django.db import connection

    from chat.log import transaction
    from chat.log.execute import build
    from commerce.stock.services import StockBook
    from tests.proofs.market import units_in_lines

    start = threading.Barrier(3)
    people = [UUID(p) for p in market["people"]]
    chance = random.Random(seed)

    def claims(stream: str, name: str, body: dict[str, Any]) -> Callable[[], None]:
        batches = [
            [build(UUID(stream), name, body, actor_id=chance.choice(people)) for _ in range(10)]
            for _ in range(6)
        ]

        def run() -> None:
            try:
                start.wait(20)
                for batch in batches:
                    waiting = batch
                    while waiting:
                        waiting = transaction.run(waiting).deferred
            finally:
                connection.close()

        return run

    work = [
        claims(market["rooms"][i], "claim.place", {"offer": market["offers"][i], "qty": 1}) for i in range(2)
    ]
    work.append(claims(market["shop"], "buy", {"variant": market["variant"], "qty": 1}))
    with ExitStack() as stack:
        if not guarded:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE commerce_pool DROP CONSTRAINT IF EXISTS pool_never_oversold")
            stack.enter_context(mock.patch("commerce.stock.services.lock_rows", lambda model, ids: None))
            stack.enter_context(mock.patch.object(StockBook, "guards", ()))
        threads = [threading.Thread(target=run) for run in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return units_in_lines(UUID(market["pool"]))


def claim_until_killed(market: dict[str, Any], path: str, batches: int) -> int:
    """Claims in batches; every answer goes to a file, by the operating system, before the next batch begins.

    The database may go away at any moment: then this ends.
    """
    import os

    from chat.log import transaction
    from chat.log.execute import build

    people = [UUID(p) for p in market["people"]]
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done = 0
    for _ in range(batches):
        requests = [
            build(
                UUID(market["rooms"][0]),
                "claim.place",
                {"offer": market["offers"][0]},
                actor_id=people[i % len(people)],
            )
            for i in range(20)
        ]
        transaction.run(requests)
        answered = [f"{r.client_id} {r.answer['line']}\n" for r in requests if r.answer is not None]
        os.write(out, "".join(answered).encode())
        done += len(answered)
        if len(answered) < len(requests):
            break
    os.close(out)
    return done


def lost(path: str) -> list[str]:
    """Which of the answers in that file are not in the database: no receipt, or no line."""
    from chat.log.models import Receipt
    from commerce.orders.models import Line

    with open(path) as answers:
        told = [line.split() for line in answers]
    kept = {str(c) for c in Receipt.objects.values_list("client_id", flat=True)}
    lines = {str(i) for i in Line.objects.values_list("id", flat=True)}
    return [client_id for client_id, line in told if client_id not in kept or line not in lines]


def serve(offered: Mapping[str, Any]) -> None:
    """Answer what is asked by name, until nobody asks any more."""
    import django

    django.setup()
    for text in sys.stdin:
        name, arguments = json.loads(text)
        try:
            answer = {"result": offered[name](**arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error} {getattr(error, 'code', '')}"}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(globals())
