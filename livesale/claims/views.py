"""Orders, lines and places as their buyer sees them: one shape for events, panel and snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Subquery
from django.db.models.functions import Coalesce

from commerce.orders.models import Adjustment, Contact, Line, Order
from commerce.orders.selectors import people_ahead
from commerce.payments.models import Attempt
from commerce.stock.models import Waiting


def ms(moment: datetime | None) -> int | None:
    """Unix milliseconds, as the wire has moments."""
    return int(moment.timestamp() * 1000) if moment is not None else None


def line_view(line: Line) -> dict[str, Any]:
    return {
        "line": str(line.id),
        "order": str(line.order_id),
        "offer": str(line.offer_id),
        "title": line.title,
        "qty": line.qty - line.qty_cancelled - line.qty_refunded
        if line.state in {"held", "paid"}
        else line.qty,
        "unit_price_minor": line.unit_price_minor,
        "currency": line.currency,
        "state": line.state,
        "turn": line.turn,
        "hold_until": ms(line.hold_until) if line.state == "held" else None,
        "extended": line.extended,
    }


def waiting_views(order_ids: Iterable[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Waiting places by order, each with how many people are before and including it."""
    # read while the pool is locked: a row per place asked for, not per person
    mine = Waiting.objects.filter(order_id__in=order_ids, state="waiting").annotate(
        place=Coalesce(Subquery(people_ahead()), 0) + 1
    )
    found: dict[UUID, list[dict[str, Any]]] = {}
    for w in mine.order_by("created_at", "id"):
        found.setdefault(w.order_id, []).append(
            {
                "waiting": str(w.id),
                "order": str(w.order_id),
                "offer": str(w.offer_id),
                "title": w.terms.get("title", "") if isinstance(w.terms, dict) else "",
                "qty": w.qty,
                "place": w.place,
                "state": w.state,
            }
        )
    return found


def order_views(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Whole orders, in a fixed number of queries however many."""
    ids = [o.id for o in orders]
    if not ids:
        return []
    lines: dict[UUID, list[Line]] = {}
    for line in Line.objects.filter(order_id__in=ids).order_by("created_at", "id"):
        lines.setdefault(line.order_id, []).append(line)
    adjustments: dict[UUID, list[dict[str, Any]]] = {}
    for a in Adjustment.objects.filter(order_id__in=ids).order_by("id"):
        adjustments.setdefault(a.order_id, []).append(
            {"kind": a.kind, "label": a.label, "amount_minor": a.amount_minor}
        )
    attempts: dict[UUID, Attempt] = {}
    for attempt in Attempt.objects.filter(order_id__in=ids).order_by("created_at", "id"):
        attempts[attempt.order_id] = attempt
    contacts = set(Contact.objects.filter(order_id__in=ids).values_list("order_id", flat=True))
    waiting = waiting_views(ids)
    return [
        _order_view(
            o,
            lines.get(o.id, []),
            waiting.get(o.id, []),
            adjustments.get(o.id, []),
            attempts.get(o.id),
            o.id in contacts,
        )
        for o in orders
    ]


def _order_view(
    order: Order,
    lines: Sequence[Line],
    waiting: Sequence[dict[str, Any]],
    adjustments: Sequence[dict[str, Any]],
    attempt: Attempt | None,
    has_contact: bool,
) -> dict[str, Any]:
    views = [line_view(line) for line in lines]
    live = [(v, line) for v, line in zip(views, lines, strict=True) if line.state in {"held", "paid"}]
    goods = sum(v["qty"] * v["unit_price_minor"] for v, _ in live)
    total = max(0, goods + sum(a["amount_minor"] for a in adjustments)) if live else 0
    deadlines = [v["hold_until"] for v in views if v["hold_until"] is not None]
    return {
        "order": str(order.id),
        "number": order.number,
        "stream": str(order.origin_stream),
        "scope": str(order.scope_id),
        "shop": str(order.shop_id),
        "state": order.state,
        "payment_state": order.payment_state,
        "fulfilment_state": order.fulfilment_state,
        "currency": order.currency,
        "lines": views,
        "waiting": list(waiting),
        "adjustments": list(adjustments),
        "total_minor": total,
        "paid_minor": order.paid_minor,
        "refunded_minor": order.refunded_minor,
        "delivery_kind": order.delivery_kind,
        "delivery_option": str(order.delivery_option_id) if order.delivery_option_id else None,
        "has_contact": has_contact,
        "hold_until": min(deadlines) if deadlines else None,
        "attempt": _attempt_view(attempt),
    }


def _attempt_view(attempt: Attempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {
        "attempt": str(attempt.id),
        "gateway": attempt.gateway,
        "method": attempt.method,
        "state": attempt.state,
        "amount_minor": attempt.amount_minor,
        "reference": attempt.reference,
        "deadline": ms(attempt.deadline),
        "url": f"/pay/sandbox/{attempt.id}/" if attempt.gateway == "sandbox" else None,
    }
