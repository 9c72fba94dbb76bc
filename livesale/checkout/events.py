"""Effects of checkout: asking gateways for refunds, outside any transaction."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from chat.log import clock
from chat.log.execute import execute
from chat.log.registry import effect
from commerce.payments.gateways import Request, gateway
from commerce.payments.selectors import refund_is_due


@effect("payment.refund")
def ask_for_refund(payload: dict[str, Any]) -> None:
    """Ask the gateway to pay back; where it answers at once, the answer is a command. Safe to repeat.

    Not where it is settled by now: an attempt that waited may come after the staff have paid it back by hand.
    """
    refund_id = UUID(payload["refund"])
    if not refund_is_due(refund_id):
        return
    request = Request(UUID(payload["attempt"]), payload["amount_minor"], payload["currency"], "")
    answer = gateway(payload["gateway"]).refund(request, refund_id, payload["amount_minor"], clock.now())
    if answer.ok is not None:
        execute(
            UUID(payload["stream"]),
            "payment.refunded",
            {"refund": payload["refund"], "ok": answer.ok},
            # an answer to being asked again is news, even if it is the same
            client_id=uuid5(refund_id, ("ok" if answer.ok else "failed") + payload.get("again", "")),
        )
