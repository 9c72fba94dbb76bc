"""Reads of payments: what still has to go back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce

from commerce.payments.models import PaymentEvent, Refund


@dataclass(frozen=True, slots=True)
class OpenRefund:
    """A refund that has not been carried out."""

    id: UUID
    gateway: str
    state: str
    amount_minor: int
    currency: str
    created_at: datetime


def refund_is_due(refund_id: UUID) -> bool:
    """Whether the money has to go back still, and nobody has said since that it has, or cannot."""
    return Refund.objects.filter(id=refund_id, state=Refund.State.DUE).exists()


def open_refunds(order_ids: Iterable[UUID]) -> dict[UUID, list[OpenRefund]]:
    """What has to go back of these orders, the oldest first."""
    # money that did not fit goes back in the currency in which it came
    came = PaymentEvent.objects.filter(
        attempt_id=OuterRef("attempt_id"),
        amount_minor=OuterRef("amount_minor"),
        received_at=OuterRef("created_at"),
    ).values("currency")[:1]
    refunds = (
        Refund.objects.filter(attempt__order_id__in=list(order_ids))
        .exclude(state=Refund.State.DONE)
        .annotate(
            currency=Coalesce(Subquery(came), F("attempt__currency")),
            order_id=F("attempt__order_id"),
            gateway=F("attempt__gateway"),
        )
        .order_by("created_at", "id")
    )
    found: dict[UUID, list[OpenRefund]] = {}
    for r in refunds.values_list(
        "order_id", "id", "gateway", "state", "amount_minor", "currency", "created_at"
    ):
        found.setdefault(r[0], []).append(OpenRefund(*r[1:]))
    return found
