"""The sandbox gateway's own page: says what is to be paid, pays or fails, and reports by signed webhook."""

from __future__ import annotations

from uuid import UUID, uuid4

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.http import require_http_methods

from chat.log import clock
from chat.log.models import Stream
from commerce.money import display
from commerce.payments.models import LIVE, Attempt
from commerce.payments.sandbox import sign, webhook_body
from livesale.checkout.webhooks import receive


def _attempt(attempt_id: UUID) -> Attempt:
    if not settings.LIVESALE_SANDBOX_ENABLED:
        raise Http404
    attempt = Attempt.objects.filter(id=attempt_id, gateway="sandbox").select_related("order", "shop").first()
    if attempt is None:
        raise Http404
    return attempt


def _way_back(attempt: Attempt) -> str:
    """Where the buyer came from: the room of the order, or the shop."""
    stream_id = attempt.order.origin_stream
    kind = Stream.objects.filter(id=stream_id).values_list("kind", flat=True).first()
    place = f"/r/{stream_id}/" if kind == "room" else f"/s/{attempt.shop.slug}/"
    return f"{place}?order={attempt.order_id}"


@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """GET shows what is to be paid; POST with `act` pay, fail or cancel reports it and leads back."""
    attempt = _attempt(attempt_id)
    if request.method == "POST":
        kind = {"pay": "succeeded", "fail": "failed", "cancel": "cancelled"}.get(request.POST.get("act", ""))
        if kind is None:
            raise Http404
        body = webhook_body(
            event_id=f"sandbox-{uuid4().hex}",
            kind=kind,
            attempt_id=attempt.id,
            amount_minor=attempt.amount_minor,
            currency=attempt.currency,
        )
        receive("sandbox", body, sign(body, clock.now()))
        return redirect(_way_back(attempt))
    language = translation.get_language() or "en"
    return render(
        request,
        "livesale/sandbox.html",
        {
            "amount": display(attempt.amount_minor, attempt.currency, language),
            "shop": attempt.shop.name,
            "reference": attempt.reference,
            "open": attempt.state in LIVE,
            "state": attempt.get_state_display(),
            "back": _way_back(attempt),
        },
    )
