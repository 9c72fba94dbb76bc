"""The writer lane of a serving process: one thread, one database connection, one transaction at a time.

What arrives while a transaction runs shares the next one; the previous commit is the timer. A conversation of many
gathers a little longer. Requests are drawn round-robin over streams, so that a flooded room delays a quiet one by no
more than one batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from django.db import connection

from chat.log import gates, transaction
from chat.log.batch import SYSTEM, Outcome, Request
from chat.log.errors import busy
from chat.log.stats import stats

logger = logging.getLogger(__name__)

BATCH_LIMIT = 500
STREAM_LIMIT = 5_000
ACTOR_LIMIT = 50
LANE_LIMIT = 20_000
# Patient commands gather: after a batch of nothing else the next one begins so many seconds later for each that was in
# it, and no later than this. The first after quiet goes at once, and whatever is not patient takes all others along.
GATHER_EACH = 0.0125
GATHER = 0.05
# A stream that stays locked is tried again after this long, in seconds.
LOCKED_PAUSE = 0.02


class Lane:
    """Queues of requests per stream and the thread that carries them out.

    `on_outcome` is called in the lane's thread after each commit, before the requests' own `done` callbacks: news
    leave before anybody can ask for more.
    """

    def __init__(self, on_outcome: Callable[[Outcome], None]) -> None:
        self._on_outcome = on_outcome
        self._wake = threading.Condition()
        self._queues: dict[UUID, deque[Request]] = {}
        self._turns: deque[UUID] = deque()
        self._waiting = 0
        # of those that wait, how many are in a hurry; and until when the others may gather
        self._urgent = 0
        self._gather_until = 0.0
        # keys are the numbers of the ids: they are hashed in a fifth of the time
        self._per_actor: dict[int, int] = {}
        self._stopping = False
        self._paused: dict[UUID, float] = {}
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)
        self.batches = 0
        self.executed = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Carry out what waits, then end the thread. Later requests are answered `server.busy`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout)

    @property
    def waiting(self) -> int:
        return self._waiting

    def owns_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def submit(self, request: Request) -> None:
        """Queue a request from any thread; its `done` is called in the lane's thread.

        Raises `Refused` (`server.busy`) when the stream, the actor or the lane has too much waiting.
        """
        with self._wake:
            queue = self._queues.get(request.stream_id)
            actor = request.actor_id.int
            if (
                self._stopping
                or self._waiting >= LANE_LIMIT
                or (queue is not None and len(queue) >= STREAM_LIMIT)
                or (actor != SYSTEM.int and self._per_actor.get(actor, 0) >= ACTOR_LIMIT)
            ):
                stats.turned_away += 1
                raise busy()
            if queue is None:
                queue = self._queues[request.stream_id] = deque()
                self._turns.append(request.stream_id)
            queue.append(request)
            self._waiting += 1
            self._per_actor[actor] = self._per_actor.get(actor, 0) + 1
            if not request.spec.patient:
                self._urgent += 1
                self._wake.notify()
            elif self._waiting == 1:
                # with more of them the thread knows already how long they gather
                self._wake.notify()

    def _draw(self) -> list[Request]:
        """Take the next batch: one request per stream and turn, streams in rotation."""
        now = time.monotonic()
        drawn: list[Request] = []
        paused: list[UUID] = []
        while self._turns and len(drawn) < BATCH_LIMIT:
            stream_id = self._turns.popleft()
            if self._paused.get(stream_id, 0) > now:
                paused.append(stream_id)
                continue
            queue = self._queues[stream_id]
            # alone, a stream takes the whole batch in one go
            quota = BATCH_LIMIT if not self._turns else max(1, BATCH_LIMIT // (len(self._turns) + 1) // 4)
            for _ in range(min(quota, len(queue), BATCH_LIMIT - len(drawn))):
                drawn.append(queue.popleft())
            if queue:
                self._turns.append(stream_id)
            else:
                del self._queues[stream_id]
                self._paused.pop(stream_id, None)
        self._turns.extend(paused)
        self._waiting -= len(drawn)
        for r in drawn:
            self._urgent -= not r.spec.patient
            actor = r.actor_id.int
            left = self._per_actor[actor] - 1
            if left:
                self._per_actor[actor] = left
            else:
                del self._per_actor[actor]
        return drawn

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    while not (self._stopping or self._ready()):
                        self._wake.wait(self._pause())
                    if self._stopping and not self._waiting:
                        return
                    batch = self._draw()
                    if not batch:
                        self._wake.wait(LOCKED_PAUSE)
                        continue
                began = time.monotonic()
                self._carry_out(batch)
                if all(r.spec.patient for r in batch):
                    self._gather_until = began + min(GATHER, GATHER_EACH * len(batch))
        finally:
            connection.close()

    def _ready(self) -> bool:
        return self._urgent > 0 or (self._waiting > 0 and self._pause() == 0)

    def _pause(self) -> float | None:
        """For how many seconds those that wait may still gather; None while nobody waits."""
        return max(0.0, self._gather_until - time.monotonic()) if self._waiting else None

    def _carry_out(self, batch: list[Request]) -> None:
        began = time.perf_counter()
        try:
            left = gates.pass_on(batch)
            outcome = transaction.run(left) if left else Outcome()
        except Exception:
            # `run` answers for everything it knows; whatever is left must not end the lane
            logger.exception("a batch of %d commands failed outside its transaction", len(batch))
            for r in batch:
                r.error = busy()
            left = batch
            outcome = Outcome()
            connection.close()
        stats.note_batch(len(batch), time.perf_counter() - began, outcome)
        self.batches += 1
        self.executed += len(batch) - len(outcome.deferred)
        if left:
            self.announce(outcome)
        answered = batch
        if outcome.deferred:
            waiting = {id(r) for r in outcome.deferred}
            answered = [r for r in batch if id(r) not in waiting]
            self._put_back(outcome.deferred)
        stats.note_answers(answered)
        for r in answered:
            if r.done is not None:
                try:
                    r.done(r)
                except Exception:
                    logger.exception("an answer could not be handed on")

    def announce(self, outcome: Outcome) -> None:
        """Hand on what a transaction in the lane's thread has left."""
        try:
            self._on_outcome(outcome)
        except Exception:
            logger.exception(
                "news of a committed batch could not be handed on; readers will find it in the log"
            )

    def _put_back(self, deferred: list[Request]) -> None:
        until = time.monotonic() + LOCKED_PAUSE
        with self._wake:
            for r in reversed(deferred):
                queue = self._queues.get(r.stream_id)
                if queue is None:
                    queue = self._queues[r.stream_id] = deque()
                    self._turns.append(r.stream_id)
                queue.appendleft(r)
                self._paused[r.stream_id] = until
                self._waiting += 1
                self._urgent += not r.spec.patient
                self._per_actor[r.actor_id.int] = self._per_actor.get(r.actor_id.int, 0) + 1
