"""The project with one of its guards left out, by LIVESALE_TEST_WITHOUT: what a control runs, and what must be found.

early     a command is answered before its transaction is committed
receipts  nobody looks whether a command was carried out before
repair    nobody looks for what the channel layer did not deliver
locks     stock is decided without a lock, written without a guard; the CHECK must be dropped as well
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from livesale.asgi import application as project

without = os.environ.get("LIVESALE_TEST_WITHOUT", "")


def answer_early() -> None:
    from chat.log import store, transaction

    decide, write_promises = transaction._decide, store.write_promises
    waiting: list[Any] = []

    def decided(batch: Any, requests: list[Any]) -> list[Any]:
        accepted = decide(batch, requests)
        waiting[:] = accepted
        return accepted

    def promised(promises: Sequence[Any], now: Any) -> None:
        # the last statement before the commit
        write_promises(promises, now)
        for request in waiting:
            done, request.done = request.done, None
            if done is not None:
                done(request)
        # a disk that takes a while, so that a kill falls in between
        time.sleep(0.2)

    transaction._decide = decided
    store.write_promises = promised


def forget_receipts() -> None:
    from chat.log import store
    from chat.log.models import Receipt

    insert_rows = store.insert_rows

    def insert(model: Any, names: Any, rows: Any, **how: Any) -> None:
        insert_rows(model, names, rows, **({"ignore_conflicts": True} if model is Receipt else how))

    store.find_receipts = lambda requests: dict
    store.insert_rows = insert


def never_repair() -> None:
    from livesale.serving import server

    opened = server.open

    def open_() -> None:
        opened()
        server.hub.log.repair = False

    server.open = open_  # type: ignore[method-assign]


def drop_locks() -> None:
    from commerce.stock import services

    services.lock_rows = lambda model, ids: None
    services.StockBook.guards = ()


{
    "": lambda: None,
    "early": answer_early,
    "receipts": forget_receipts,
    "repair": never_repair,
    "locks": drop_locks,
}[without]()


async def application(scope: Any, receive: Any, send: Any) -> None:
    await project(scope, receive, send)
