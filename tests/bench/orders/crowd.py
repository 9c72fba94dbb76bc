"""The people of a run: what they ask for, one thing at a time, and what they were answered."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from commerce.ids import new_id
from tests.proofs.market import Market

BUYERS = 500
# A person claims this often, then the next one has the place: every third claim begins a basket.
CLAIMS_EACH = 3
TWO_UNITS = 0.10
# Answered claims that are sent again with the same id, and refusals between which somebody repeats an old claim.
RETRIES = 0.05
SOLD_OUT = "claim.sold_out"

TALK = ("love that colour", "does it run small?", "hello from Hamburg", "two more minutes please", "wow")


@dataclass(slots=True)
class Wish:
    """One thing a person asks for. `again`: asked before, and `line` is what the first answer named."""

    name: str
    room: UUID
    person: UUID
    client_id: UUID
    raw: bytes
    sent_at: float = 0.0
    again: bool = False
    line: str | None = None


class Crowd:
    """What `buyers` people at a time do, each waiting for the answer before asking again. Seeded.

    `chat`: the part of wishes that are messages. `rooms`: over how many rooms. `told_before`: claims that were
    answered before the run; they are repeated now and then. `stay`: nobody makes room for the next person.
    """

    def __init__(
        self,
        market: Market,
        people: Sequence[UUID],
        *,
        seed: int,
        buyers: int = BUYERS,
        chat: float = 0.0,
        rooms: int = 1,
        told_before: Sequence[Wish] = (),
        stay: bool = False,
    ) -> None:
        self.buyers = buyers
        self._market = market
        self._chat = chat
        self._rooms = rooms
        self._random = random.Random(seed)
        self._told_before = told_before
        self._people: Iterator[UUID] = itertools.cycle(people)
        each = 10**9 if stay else CLAIMS_EACH
        self._each = each
        self.slots: list[tuple[UUID, int]] = [(next(self._people), each) for _ in range(buyers)]
        self._bodies = {
            offer: [json.dumps({"offer": str(offer), "qty": qty}).encode() for qty in (1, 2)]
            for offer in market.offers
        }
        self._talk = [json.dumps({"text": text}).encode() for text in TALK]

    def next(self, slot: int) -> Wish:
        """What the person in that place asks for next."""
        roll = self._random.random
        if self._told_before and roll() < RETRIES:
            old = self._told_before[int(roll() * len(self._told_before))]
            return Wish(old.name, old.room, old.person, old.client_id, old.raw, again=True, line=old.line)
        person, left = self.slots[slot]
        if left == 0:
            person, left = next(self._people), self._each
        self.slots[slot] = (person, left - 1)
        at = int(roll() * self._rooms)
        room = self._market.rooms[at]
        if self._chat and roll() < self._chat:
            return Wish("say", room, person, new_id(), self._talk[int(roll() * len(TALK))])
        body = self._bodies[self._market.offers[at]][roll() < TWO_UNITS]
        return Wish("claim.place", room, person, new_id(), body)

    def after(self, slot: int, wish: Wish) -> Wish:
        """What comes after an answered wish: sometimes the same once more, because the answer was lost."""
        if not wish.again and wish.line is not None and self._random.random() < RETRIES:
            wish.again = True
            return wish
        return self.next(slot)


@dataclass(slots=True)
class Tally:
    """What was answered in a run, and how long people waited for it (seconds)."""

    accepted: int = 0
    refused: int = 0
    messages: int = 0
    repeated: int = 0
    units: int = 0
    # asked, and not answered when the run was over
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def take(self, wish: Wish, answer: dict[str, Any] | None, refusal: str = "") -> None:
        """Count an answer, or a refusal by its code; anything else is written down as wrong."""
        if answer is None:
            if refusal == SOLD_OUT and not wish.again:
                self.refused += 1
                self.waits.append(time.perf_counter() - wish.sent_at)
            else:
                self.wrong.append(f"{wish.name}{' again' * wish.again}: {refusal}")
        elif wish.again:
            self.repeated += 1
            if answer.get("line") != wish.line:
                self.wrong.append("a repeated claim got another answer")
        elif wish.name == "say":
            self.messages += 1
            self.waits.append(time.perf_counter() - wish.sent_at)
        else:
            self.accepted += 1
            self.units += answer["got"]
            wish.line = answer["line"]
            self.waits.append(time.perf_counter() - wish.sent_at)

    def add(self, other: Tally) -> None:
        """Take over what was counted elsewhere."""
        for name in ("accepted", "refused", "messages", "repeated", "units", "unanswered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong
        self.waits += other.waits

    @property
    def done(self) -> int:
        """New commands that were decided; repeats are not counted."""
        return self.accepted + self.messages + self.refused
