"""`execute()`: the one way to change anything that a stream's log tells. Sync, callable from anywhere.

In a serving process requests go through its lane; in a management command, a shell or a test they run at once, in
the caller's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chat.log import registry, transaction
from chat.log.batch import SYSTEM, Outcome, Request, encode
from chat.log.errors import Refused, busy
from chat.log.lane import Lane

# How long a synchronous caller waits for the lane, in seconds. Afterwards the outcome is unknown, not undone.
ANSWER_TIMEOUT = 15.0

_lane: Lane | None = None
_listeners: list[Callable[[Outcome], None]] = []


def use_lane(lane: Lane | None) -> None:
    """Make this process a serving one: from now on `execute` goes through `lane` (None: no longer)."""
    global _lane  # noqa: PLW0603 - one lane per process by design
    _lane = lane


def current_lane() -> Lane | None:
    return _lane


def on_outcome(listener: Callable[[Outcome], None]) -> None:
    """Hear of every transaction that this process commits outside a lane (a lane has its own listener)."""
    _listeners.append(listener)


@dataclass(frozen=True, slots=True)
class Answered:
    """A command's stored answer; `repeated` when the command had been carried out before."""

    answer: dict[str, Any]
    repeated: bool


def build(
    stream_id: UUID,
    name: str,
    body: Any,
    *,
    actor_id: UUID,
    client_id: UUID | None = None,
) -> Request:
    """Make a request. `body` is the command's struct, or what converts to it (dict, raw JSON bytes).

    Raises `Refused`: `command.unknown`, `command.invalid`.
    """
    spec = registry.COMMANDS.get(name)
    if spec is None or (spec.system and actor_id != SYSTEM):
        raise Refused("command.unknown", name=name[:40])
    return Request(spec, stream_id, actor_id, client_id or uuid7(), parse(spec, body))


def parse(spec: registry.CommandSpec, body: Any) -> msgspec.Struct:
    """Decode and validate a command's body. Raises `Refused("command.invalid")` with the first reason.

    What no database stores as text (U+0000, lone surrogates) is refused here, before it can spoil a batch.
    """
    try:
        if isinstance(body, bytes | msgspec.Raw):
            parsed = spec.decode(body)
            text = bytes(body)
        else:
            parsed = body if isinstance(body, spec.body) else msgspec.convert(body, type=spec.body)
            text = encode(parsed)
        # a backslash followed by u0000 as text looks alike in JSON: then it is looked at closely
        if b"\\u0000" in text and _holds_nul(msgspec.to_builtins(parsed)):
            raise Refused("command.invalid", reason="text with U+0000")
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Refused("command.invalid", reason=str(error)[:200]) from None
    return parsed


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(v) for pair in value.items() for v in pair)
    return isinstance(value, list | tuple) and any(_holds_nul(v) for v in value)


def execute_all(requests: Sequence[Request]) -> None:
    """Carry out requests and wait: afterwards each has `answer` or `error`."""
    lane = _lane
    if lane is None or lane.owns_current_thread():
        waiting = list(requests)
        while waiting:
            outcome = transaction.run(waiting)
            for listener in _listeners:
                listener(outcome)
            if lane is not None:
                lane.announce(outcome)
            waiting = outcome.deferred
        for r in requests:
            if r.done is not None:
                r.done(r)
        return
    finished = threading.Semaphore(0)
    answered: list[tuple[Request, Request]] = []

    def tell(asked: Request, done: Request) -> None:
        answered.append((asked, done))
        finished.release()

    count = 0
    for r in requests:
        # The lane has a request of its own: it decides, and decides anew when a transaction fails, for as long as it
        # likes. What it has told of as done is all that may be believed here.
        try:
            lane.submit(replace(r, done=partial(tell, r)))
        except Refused as refusal:
            r.error = refusal.with_traceback(None)
        else:
            count += 1
    for _ in range(count):
        if not finished.acquire(timeout=ANSWER_TIMEOUT):
            break
    for asked, done in list(answered):
        asked.answer, asked.error, asked.repeated = done.answer, done.error, done.repeated
    for r in requests:
        if r.answer is None and r.error is None:
            r.error = busy(retry_after=2.0)


def execute(
    stream_id: UUID,
    name: str,
    body: Any = None,
    *,
    actor_id: UUID = SYSTEM,
    client_id: UUID | None = None,
) -> Answered:
    """Carry out one command on a stream and return its answer once it is durable.

    Raises `Refused` (or a registered refusal) when it cannot be done; with `temporary`, the same `client_id` may be
    tried again.
    """
    request = build(stream_id, name, {} if body is None else body, actor_id=actor_id, client_id=client_id)
    execute_all([request])
    if request.error is not None:
        try:
            raise request.error
        finally:
            # this frame is in the error's traceback: it must not hold the error
            del request
    assert request.answer is not None
    return Answered(request.answer, request.repeated)
