"""Holds what clients have sent and heard against what the database has."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.probe import Probe
from tests.proofs.stage import Stage

# Everybody has an answer, and every reader the end of the log, so many seconds after the last fault.
PATIENCE = 45.0
SLICE = 2_000


async def settle(crowd: Crowd, probe: Probe, books: Stage) -> int:
    """Quiet: every command has its one answer, readers are at the end. How many were sent once more."""
    await crowd.fall_silent(PATIENCE)
    await probe.settle(PATIENCE)
    repeated = await crowd.say_again(15)
    due, failed = await asyncio.to_thread(books.quiet, seconds=PATIENCE)
    if due or failed:
        crowd.history.blame("unanswered", f"{due} promises still due, {failed} given up")
    await crowd.catch_up(await asyncio.to_thread(books.heads), 15.0)
    return repeated


def judge(crowd: Crowd, books: Stage) -> dict[str, Any]:
    """Everything that can be said against the run goes to `history.wrong`; what was counted comes back."""
    history = crowd.history
    _answers(history, books)
    found = _rows(crowd, books)
    for text in books.sequences():
        history.blame("gap", f"log of a stream (stream, head, events, first, last): {text}")
    for text in books.holds():
        history.blame("drift", f"a line (id, state, units, held, sold, least and most held): {text}")
    for text in books.drifts():
        history.blame("drift", f"verify: {text}")
    if late := books.overdue(seconds=10):
        history.blame("drift", f"{late} holds are over by more than 10 s and still held")
    moves = books.ledger(pool=crowd.scene.market["pool"], limited=[])
    if (moves["least_free"] or 0) < 0:
        history.blame("oversold", f"{-moves['least_free']} units more than there were")
    _readers(crowd, books)
    return found


def _answers(history: History, books: Stage) -> None:
    commands = [c for c in history.commands.values() if not c.open]
    for first in range(0, len(commands), SLICE):
        part = commands[first : first + SLICE]
        stored = books.answers(ids=[c.id for c in part])
        for c in part:
            kept = stored.get(c.id)
            if c.answer is not None and kept is None:
                history.blame("lost", f"{c.name} {c.id} was acknowledged and is not there", c.answered_at)
            elif c.answer is not None and kept != c.answer:
                history.blame("lost", f"{c.name} {c.id} has another answer than was heard", c.answered_at)
            elif c.refused and kept is not None:
                history.changed_its_mind(c)
                c.answer = kept


def _rows(crowd: Crowd, books: Stage) -> dict[str, int]:
    """One row for each command that was acknowledged, and none beside them."""
    history, scene = crowd.history, crowd.scene
    acked = [(c.name, c.answer or {}) for c in history.acks()]
    claims = [a.get("claim", a) for name, a in acked if name == "claim.place" or "claim" in a]
    messages = sum(1 for name, a in acked if name in {"message.send", "say"} and "message" in a)
    wanted = {
        "receipts": len(acked),
        "messages": messages,
        "told messages": messages,
        "lines": sum(1 for a in claims if a.get("line")),
        "told claims": len(claims),
    }
    for action in ("member.ban", "member.unban", "stock.adjust", "member.timeout"):
        wanted[action] = sum(1 for name, _ in acked if name == action)
    found: dict[str, int] = books.rows(people=scene.people)
    for name, count in wanted.items():
        new = found[name] - scene.before[name]
        if new > count:
            history.blame("doubled", f"{new} {name}, {count} were acknowledged")
        elif new < count:
            history.blame("lost", f"{new} {name}, {count} were acknowledged")
    return found


def _readers(crowd: Crowd, books: Stage) -> None:
    for stream in crowd.scene.rooms:
        log: list[list[Any]] = []
        while page := books.log(stream=stream, after=log[-1][0] if log else 0):
            log += page
        for reader in crowd.readers:
            mine = {"*", reader.person} - {""}
            reader.journals[stream].judge({seq: (sign, whom in mine) for seq, sign, whom in log})
