"""Offers that are known to be sold out: claims on them are refused before they cost a transaction.

What is known here is what committed transactions of this process have refused, for half a second at most. It is
forgotten as soon as the process commits any change of that pool, or sees a command that might bring units back or
change the offer; what other processes do is found out by the time limit.

Nothing is given away by a gate: it only says no. In an open room it says so to everybody, in a closed one only to
those whom the refusing transaction itself has found to belong there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chat.log.batch import Request
from chat.log.registry import gate
from commerce.errors import Refused

# Seconds that a sold-out offer is taken for granted: as long may units be back that another process was given back.
KEEP = 0.5
# Commands that bring no units back and change no offer.
HARMLESS = frozenset({"claim.place", "say", "message.send"})


@dataclass(slots=True)
class SoldOut:
    """One offer that has nothing to give and no place in its waiting list."""

    room_id: UUID
    shop_id: UUID
    pool_id: UUID
    refusal: Refused
    # anybody may claim in this room; else only these people are known to belong there
    for_all: bool
    people: set[UUID] = field(default_factory=set)
    # on the clock of `time.monotonic`
    until: float = 0.0


_known: dict[UUID, SoldOut] = {}


def learn(facts: dict[UUID, SoldOut]) -> None:
    """A committed transaction has refused claims on these offers, and has changed nothing about them."""
    until = time.monotonic() + KEEP
    for fact in facts.values():
        fact.until = until
    _known.update(facts)


def forget(pool_ids: Collection[UUID]) -> None:
    """These pools have changed."""
    for offer_id, fact in list(_known.items()):
        if fact.pool_id in pool_ids:
            _known.pop(offer_id, None)


@gate
def sold_out(requests: Sequence[Request]) -> dict[int, Exception]:
    """Claims on offers that are known to be sold out, in the order of arrival."""
    turned_away: dict[int, Exception] = {}
    if not _known:
        return turned_away
    now = time.monotonic()
    for at, request in enumerate(requests):
        name = request.spec.name
        if name == "claim.place":
            fact = _known.get(request.body.offer)
            if (
                fact is not None
                and fact.until > now
                and fact.room_id == request.stream_id
                and request.body.buyer is None
                and (fact.for_all or request.actor_id in fact.people)
            ):
                turned_away[at] = fact.refusal
        elif name not in HARMLESS:
            _forget_stream(request.stream_id)
    return turned_away


def _forget_stream(stream_id: UUID) -> None:
    for offer_id, fact in list(_known.items()):
        if stream_id in (fact.room_id, fact.shop_id):
            _known.pop(offer_id, None)
