"""What goes into and comes out of decisions about orders: plain values, no model instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True, eq=False)
class ClaimTerms:
    """What the server promises at the moment of a claim. Build one per offer and batch and share it.

    ``limit_per_buyer``   units of this offer that one buyer may hold, have paid for and wait for together
    ``waitlist_cap``      people who may wait on the pool; 0 = no waiting list
    ``max_unpaid_units``  unpaid units that one person may hold and wait for in this shop; checked when they claim
    ``hold_seconds``      how long units are set aside, also when a waiting person's turn comes
    ``extension_seconds`` how much the buyer may add, once; 0 = no extension
    ``terms``             anything more that should stay readable on the line (JSON)
    """

    shop_id: UUID
    scope_id: UUID
    origin_stream: UUID
    offer_id: UUID
    pool_id: UUID
    variant_id: UUID
    title: str
    unit_price_minor: int
    currency: str
    limit_per_buyer: int | None = None
    hold_seconds: int = 600
    waitlist_cap: int = 0
    max_unpaid_units: int | None = None
    extension_seconds: int = 0
    terms: dict[str, Any] = field(default_factory=dict)

    def snapshot(self) -> dict[str, Any]:
        """The terms as JSON, for the line and for a waiting place; `from_snapshot` reads it back."""
        return {
            "shop": self.shop_id.hex,
            "scope": self.scope_id.hex,
            "stream": self.origin_stream.hex,
            "offer": self.offer_id.hex,
            "pool": self.pool_id.hex,
            "variant": self.variant_id.hex,
            "title": self.title,
            "price": self.unit_price_minor,
            "currency": self.currency,
            "limit": self.limit_per_buyer,
            "hold": self.hold_seconds,
            "cap": self.waitlist_cap,
            "unpaid": self.max_unpaid_units,
            "extension": self.extension_seconds,
            "more": self.terms,
        }

    @classmethod
    def from_snapshot(cls, data: dict[str, Any]) -> ClaimTerms:
        return cls(
            shop_id=UUID(data["shop"]),
            scope_id=UUID(data["scope"]),
            origin_stream=UUID(data["stream"]),
            offer_id=UUID(data["offer"]),
            pool_id=UUID(data["pool"]),
            variant_id=UUID(data["variant"]),
            title=data["title"],
            unit_price_minor=data["price"],
            currency=data["currency"],
            limit_per_buyer=data["limit"],
            hold_seconds=data["hold"],
            waitlist_cap=data["cap"],
            max_unpaid_units=data["unpaid"],
            extension_seconds=data["extension"],
            terms=data["more"],
        )


@dataclass(slots=True)
class ClaimResult:
    """The answer to a claim that was not refused.

    ``got`` units are held on ``line_id`` until ``hold_until``; ``waiting`` units wait as ``entry_id`` at ``place``
    (1 = next); ``missed`` units are neither, because the waiting list is full or there is none.
    """

    got: int
    order_id: UUID
    line_id: UUID | None = None
    hold_until: datetime | None = None
    waiting: int = 0
    entry_id: UUID | None = None
    place: int | None = None
    missed: int = 0


@dataclass(slots=True)
class News:
    """A change that concerns a person, for the caller to tell: ids and numbers only, never free text.

    ``kind``: hold.lapsed · hold.extended · turn.offered · turn.lapsed · turn.passed · waiting.left · waiting.gone ·
    line.cancelled · line.refunded · order.placed · order.changed · order.pending · order.paid · order.unpaid ·
    order.lapsed · order.cancelled · order.fulfilment · payment.flagged · refund.due · refund.settled
    """

    kind: str
    person_id: UUID
    shop_id: UUID
    origin_stream: UUID
    order_id: UUID
    line_id: UUID | None = None
    offer_id: UUID | None = None
    pool_id: UUID | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Placed:
    """The answer to a checkout."""

    order_id: UUID
    number: int
    total_minor: int
    currency: str


@dataclass(slots=True)
class RefundDue:
    """Money that must go back; the row exists, the gateway has still to be asked."""

    refund_id: UUID
    attempt_id: UUID
    order_id: UUID
    gateway: str
    amount_minor: int
    currency: str
    reason: str


@dataclass(slots=True)
class Settled:
    """The answer to news of a payment; the same for every repetition.

    ``outcome``: paid · part (some units were gone) · gone (all units were gone) · mismatch (wrong amount or currency) ·
    unwanted (the order was already paid or cancelled). ``refunds`` are due now; a repetition lists none.
    """

    outcome: str
    order_id: UUID
    attempt_id: UUID
    paid_minor: int = 0
    refund_minor: int = 0
    repeated: bool = False
    refunds: list[RefundDue] = field(default_factory=list)


class Dropped(NamedTuple):
    """What became of the things that somebody had not paid for."""

    units: int
    """Given back."""
    missed: bool
    """Something was claimed meanwhile on pools that this batch has not locked: it takes another batch."""
