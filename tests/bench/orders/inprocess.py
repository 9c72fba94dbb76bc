"""The ways to carry out a crowd's wishes inside one process, each until its time is up."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from typing import Any
from uuid import UUID

from django.db import connection

from chat.log.batch import Request
from chat.log.errors import Refused
from chat.log.execute import build
from chat.log.lane import Lane
from chat.realtime.answers import AnswerBridge
from tests.bench.orders import conditional, naive, plpgsql
from tests.bench.orders.crowd import Crowd, Tally, Wish

# How long a run took (seconds), and how many commands shared a transaction on average.
Pace = tuple[float, float]
Place = Callable[[UUID, UUID, UUID, bytes], dict[str, Any]]


# --- through our lane ---------------------------------------------------------------------------------------------


async def _through_lane(crowd: Crowd, seconds: float, tally: Tally) -> Pace:
    """Every buyer has one command in the lane; its answer comes back to the event loop, as a socket's would."""
    lane = Lane(lambda outcome: None)
    bridge = AnswerBridge()
    finished = asyncio.Event()
    open_buyers = crowd.buyers
    started = time.perf_counter()
    until = started + seconds

    def submit(slot: int, wish: Wish) -> None:
        wish.sent_at = time.perf_counter()
        request = build(wish.room, wish.name, wish.raw, actor_id=wish.person, client_id=wish.client_id)
        request.done = bridge.to(lambda r: answered(slot, wish, r))
        try:
            lane.submit(request)
        except Refused as refusal:
            request.error = refusal
            asyncio.get_running_loop().call_soon(answered, slot, wish, request)

    def answered(slot: int, wish: Wish, request: Request) -> None:
        nonlocal open_buyers
        tally.take(wish, request.answer, getattr(request.error, "code", ""))
        if time.perf_counter() >= until:
            open_buyers -= 1
            if not open_buyers:
                finished.set()
            return
        submit(slot, crowd.after(slot, wish))

    lane.start()
    for slot in range(crowd.buyers):
        submit(slot, crowd.next(slot))
    await finished.wait()
    elapsed = time.perf_counter() - started
    lane.stop()
    return elapsed, (tally.done + tally.repeated) / max(1, lane.batches)


def through_lane(crowd: Crowd, seconds: float, tally: Tally) -> Pace:
    return asyncio.run(_through_lane(crowd, seconds, tally))


# --- one transaction per order ------------------------------------------------------------------------------------


def through_threads(
    crowd: Crowd,
    seconds: float,
    tally: Tally,
    *,
    threads: int,
    placing: Callable[[], AbstractContextManager[Place]],
) -> Pace:
    """Every buyer waits for one of `threads` workers, each with its own connection."""
    ready: deque[tuple[int, Wish]] = deque()
    lock = threading.Lock()
    started = time.perf_counter()
    until = started + seconds
    for slot in range(crowd.buyers):
        wish = crowd.next(slot)
        wish.sent_at = started
        ready.append((slot, wish))

    def work() -> None:
        with placing() as place:
            while time.perf_counter() < until:
                with lock:
                    slot, wish = ready.popleft()
                answer, refusal = None, ""
                try:
                    answer = place(wish.room, wish.person, wish.client_id, wish.raw)
                except Exception as error:
                    refusal = getattr(error, "code", repr(error))
                with lock:
                    tally.take(wish, answer, refusal)
                    wish = crowd.after(slot, wish)
                    wish.sent_at = time.perf_counter()
                    ready.append((slot, wish))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started, 1.0


def _by_orm(
    place_claim: Callable[[UUID, UUID, UUID, dict[str, Any]], dict[str, Any]],
) -> Callable[[], AbstractContextManager[Place]]:
    @contextmanager
    def placing() -> Iterator[Place]:
        try:
            yield lambda room, person, client_id, raw: place_claim(room, person, client_id, json.loads(raw))
        finally:
            connection.close()

    return placing


async def _through_connections(crowd: Crowd, seconds: float, tally: Tally, *, connections: int) -> Pace:
    ready: deque[tuple[int, Wish]] = deque()
    started = time.perf_counter()
    until = started + seconds
    for slot in range(crowd.buyers):
        wish = crowd.next(slot)
        wish.sent_at = started
        ready.append((slot, wish))

    async def work(place: Callable[[UUID, UUID, UUID, bytes], Any]) -> None:
        while time.perf_counter() < until:
            slot, wish = ready.popleft()
            answer, refusal = None, ""
            try:
                answer = await place(wish.room, wish.person, wish.client_id, wish.raw)
            except Exception as error:
                refusal = getattr(error, "code", repr(error))
            tally.take(wish, answer, refusal)
            wish = crowd.after(slot, wish)
            wish.sent_at = time.perf_counter()
            ready.append((slot, wish))

    async with AsyncExitStack() as links:
        places = [await links.enter_async_context(plpgsql.placing_async()) for _ in range(connections)]
        await asyncio.gather(*map(work, places))
    return time.perf_counter() - started, 1.0


# --- by name ------------------------------------------------------------------------------------------------------

Way = Callable[[Crowd, float, Tally], Pace]


def _threads(count: int, placing: Callable[[], AbstractContextManager[Place]]) -> Way:
    return lambda crowd, seconds, tally: through_threads(
        crowd, seconds, tally, threads=count, placing=placing
    )


def _connections(count: int) -> Way:
    return lambda crowd, seconds, tally: asyncio.run(
        _through_connections(crowd, seconds, tally, connections=count)
    )


WAYS: dict[str, Way] = {
    "ours": through_lane,
    "naive-1": _threads(1, _by_orm(naive.place_claim)),
    "naive-8": _threads(8, _by_orm(naive.place_claim)),
    "conditional-1": _threads(1, _by_orm(conditional.place_claim)),
    "conditional-8": _threads(8, _by_orm(conditional.place_claim)),
    "plpgsql-1": _threads(1, plpgsql.placing),
    "plpgsql-8": _threads(8, plpgsql.placing),
    "plpgsql-8a": _connections(8),
}
