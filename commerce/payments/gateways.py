"""What every payment gateway can do. A gateway talks to the outside and never to the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from commerce.errors import Refused
from commerce.payments import errors


@dataclass(frozen=True, slots=True)
class Request:
    """An attempt, as a gateway needs to know it."""

    attempt_id: UUID
    amount_minor: int
    currency: str
    reference: str
    method: str = ""
    return_url: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """Where the buyer goes now: ``redirect_url``, or ``instructions`` (a code and its parameters, no text)."""

    provider_ref: str
    redirect_url: str = ""
    instructions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """What a verified webhook says. ``kind``: succeeded · failed · cancelled · refunded · refund_failed."""

    event_id: str
    kind: str
    attempt_id: UUID
    amount_minor: int
    currency: str
    refund_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """The answer to a request for a refund: done, or ``ok=None`` while a webhook will tell."""

    ok: bool | None
    provider_ref: str = ""


class Gateway(Protocol):
    """One way to pay. ``begin`` and ``refund`` are idempotent by attempt id and refund id."""

    name: str
    methods: tuple[str, ...]

    def window(self, method: str) -> timedelta:
        """How long an attempt may stay unpaid."""
        ...

    def keeps_holds(self, method: str) -> bool:
        """Whether holds last as long as the attempt, because the money cannot come at once."""
        ...

    def begin(self, request: Request, now: datetime) -> Started: ...

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> WebhookFacts:
        """The facts of a webhook whose raw body is proven genuine and fresh. Raises `Refused` otherwise."""
        ...

    def refund(self, request: Request, refund_id: UUID, amount_minor: int, now: datetime) -> Refunded: ...


def gateway(name: str) -> Gateway:
    """The gateway of that name. Raises `Refused` (``payment.gateway_unknown``)."""
    from commerce.payments.manual import Manual
    from commerce.payments.sandbox import Sandbox

    known: dict[str, type[Gateway]] = {"sandbox": Sandbox, "manual": Manual}
    if name not in known:
        raise Refused(errors.GATEWAY_UNKNOWN, name=name)
    return known[name]()


GATEWAYS = ("sandbox", "manual")


def check_method(chosen: Gateway, method: str) -> None:
    """Raises `Refused` (``payment.method_unknown``) unless the gateway offers the method."""
    if method not in chosen.methods:
        raise Refused(errors.METHOD_UNKNOWN, method=method)
