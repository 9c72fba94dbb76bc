"""A gateway without money, for demos and tests, as strict as a real one: signed webhooks, raw body, clock."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from commerce.errors import Refused
from commerce.payments import errors
from commerce.payments.gateways import Refunded, Request, Started, WebhookFacts, check_method

TOLERANCE = 300
"""Seconds by which a webhook's time may differ from ours."""
HEADER = "x-sandbox-signature"
_KINDS = frozenset({"succeeded", "failed", "cancelled", "refunded", "refund_failed"})


class Sandbox:
    name = "sandbox"
    methods: tuple[str, ...] = ("",)

    def window(self, method: str) -> timedelta:
        check_method(self, method)
        return timedelta(minutes=30)

    def keeps_holds(self, method: str) -> bool:
        return False

    def begin(self, request: Request, now: datetime) -> Started:
        """The buyer goes to the sandbox's own page, where success and failure are buttons."""
        check_method(self, request.method)
        return Started(
            provider_ref=f"sandbox_{request.attempt_id.hex}",
            redirect_url=f"/pay/sandbox/{request.attempt_id}",
        )

    def refund(self, request: Request, refund_id: UUID, amount_minor: int, now: datetime) -> Refunded:
        return Refunded(ok=True, provider_ref=f"sandbox_{refund_id.hex}")

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> WebhookFacts:
        given = next((value for name, value in headers.items() if name.lower() == HEADER), "")
        parts = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
        time, digest = parts.get("t", ""), parts.get("v1", "")
        if not (time.isascii() and time.isdecimal() and len(time) <= 12 and digest.isascii()):
            raise Refused(errors.SIGNATURE)
        if not hmac.compare_digest(_digest(int(time), body), digest):
            raise Refused(errors.SIGNATURE)
        if abs(int(now.timestamp()) - int(time)) > TOLERANCE:
            raise Refused(errors.STALE)
        return _facts(body)


def sign(body: bytes, now: datetime) -> dict[str, str]:
    """The header that proves a body, as the sandbox's page sends it."""
    time = int(now.timestamp())
    return {HEADER: f"t={time},v1={_digest(time, body)}"}


def webhook_body(
    *,
    event_id: str,
    kind: str,
    attempt_id: UUID,
    amount_minor: int,
    currency: str,
    refund_id: UUID | None = None,
) -> bytes:
    """A webhook's body, as the sandbox's page sends it."""
    facts: dict[str, Any] = {
        "id": event_id,
        "kind": kind,
        "attempt": str(attempt_id),
        "amount_minor": amount_minor,
        "currency": currency,
    }
    if refund_id is not None:
        facts["refund"] = str(refund_id)
    return json.dumps(facts).encode()


def _digest(time: int, body: bytes) -> str:
    secret = settings.LIVESALE_SANDBOX_SECRET
    if not secret:
        raise Refused(errors.SIGNATURE)
    return hmac.new(secret.encode(), b"%d." % time + body, hashlib.sha256).hexdigest()


def _facts(body: bytes) -> WebhookFacts:
    try:
        data = json.loads(body)
        facts = WebhookFacts(
            event_id=data["id"],
            kind=data["kind"],
            attempt_id=UUID(data["attempt"]),
            amount_minor=data["amount_minor"],
            currency=data["currency"],
            refund_id=UUID(data["refund"]) if "refund" in data else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(errors.MALFORMED) from error
    texts_fit = (
        isinstance(facts.event_id, str) and 0 < len(facts.event_id) <= 120 and isinstance(facts.currency, str)
    )
    if (
        not texts_fit
        or facts.kind not in _KINDS
        or type(facts.amount_minor) is not int
        or facts.amount_minor < 0
    ):
        raise Refused(errors.MALFORMED)
    return facts
