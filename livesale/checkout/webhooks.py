"""What gateways send us: proven genuine on the raw body, then a command on the stream of the order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from chat.log import clock
from chat.log.execute import execute
from commerce.errors import Refused
from commerce.orders.models import Order
from commerce.payments.gateways import WebhookFacts, gateway
from commerce.payments.models import Attempt

# Gateways send small documents; anything larger is not from one.
LARGEST_BODY = 64 * 1024
_NAMESPACE = UUID("5b0a3c0e-6c1c-4e0b-9a53-5f3e7d0f8c11")


def receive(name: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Verify a webhook and carry out what it says. Repeating it gives the same answer.

    Raises `commerce.errors.Refused` (`webhook.*`, `payment.unknown`), or the log's refusals when it should be sent
    again.
    """
    facts = gateway(name).verify_webhook(body, headers, clock.now())
    stream_id = _home_stream(facts)
    client_id = uuid5(_NAMESPACE, f"{name} {facts.event_id}")
    if facts.kind in {"refunded", "refund_failed"}:
        body_ = {"refund": str(facts.refund_id), "ok": facts.kind == "refunded"}
        return execute(stream_id, "payment.refunded", body_, client_id=client_id).answer
    return execute(
        stream_id,
        "payment.reported",
        {
            "attempt": str(facts.attempt_id),
            "event_id": facts.event_id,
            "kind": facts.kind,
            "amount_minor": facts.amount_minor,
            "currency": facts.currency,
        },
        client_id=client_id,
    ).answer


def _home_stream(facts: WebhookFacts) -> UUID:
    found = (
        Order.objects.filter(id__in=Attempt.objects.filter(id=facts.attempt_id).values("order_id"))
        .values_list("origin_stream", flat=True)
        .first()
    )
    if found is None:
        raise Refused("payment.unknown")
    return found


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, name: str) -> JsonResponse:
    """The address that a gateway calls. Its signature is its only credential."""
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        return JsonResponse({"code": "webhook.malformed"}, status=413)
    try:
        answer = receive(name, request.body, request.headers)
    except Exception as error:
        code = getattr(error, "code", None)
        if code is None:
            raise
        # a gateway sends again what did not get a 2xx; only what may work later should be sent again
        return JsonResponse({"code": code}, status=503 if getattr(error, "temporary", False) else 400)
    return JsonResponse(answer)
