"""Money that people hand over themselves: cash, a bank transfer, paying at pick-up. Staff say when it has come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from commerce.errors import Refused
from commerce.payments import errors
from commerce.payments.gateways import Refunded, Request, Started, WebhookFacts, check_method

_WINDOWS = {"cash": timedelta(hours=2), "transfer": timedelta(days=5), "on_pickup": timedelta(days=7)}


class Manual:
    name = "manual"
    methods: tuple[str, ...] = tuple(_WINDOWS)

    def window(self, method: str) -> timedelta:
        check_method(self, method)
        return _WINDOWS[method]

    def keeps_holds(self, method: str) -> bool:
        return True

    def begin(self, request: Request, now: datetime) -> Started:
        """Nothing to ask anybody: the buyer is told what to do, with a reference and a deadline."""
        return Started(
            provider_ref=request.reference,
            instructions={
                "code": f"manual.{request.method}",
                "reference": request.reference,
                "amount_minor": request.amount_minor,
                "currency": request.currency,
                "until": (now + self.window(request.method)).isoformat(),
            },
        )

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> WebhookFacts:
        raise Refused(errors.UNSUPPORTED)

    def refund(self, request: Request, refund_id: UUID, amount_minor: int, now: datetime) -> Refunded:
        """Only a person can give money back: staff say when they have, see `Refunds.settle_refund`."""
        return Refunded(ok=None, provider_ref=str(refund_id))
