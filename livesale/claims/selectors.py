"""Reads about claims: a person's panel, the staff's figures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum

from commerce.orders.models import Line, Order
from livesale.claims.views import order_views

PANEL_ORDERS = 50


def mine(stream_id: UUID, person_id: UUID) -> list[dict[str, Any]]:
    """This person's orders born in this stream, the newest first."""
    orders = Order.objects.filter(origin_stream=stream_id, buyer_id=person_id).order_by("-created_at", "-id")
    return order_views(list(orders[:PANEL_ORDERS]))


def panel(person_id: UUID) -> dict[str, Any]:
    """Everything a person holds, waits for and has ordered, over all streams."""
    orders = Order.objects.filter(buyer_id=person_id).order_by("-created_at", "-id")
    return {"orders": order_views(list(orders[:PANEL_ORDERS]))}


def staff_figures(stream_id: UUID) -> dict[str, Any]:
    """How the sale stands: orders, units and money, paid and unpaid. Money after refunds."""
    orders = Order.objects.filter(origin_stream=stream_id)
    totals = orders.aggregate(
        paid=Sum("paid_minor", default=0),
        refunded=Sum("refunded_minor", default=0),
        paid_orders=Count("id", filter=Q(state="paid")),
        placed_orders=Count("id", filter=Q(state="placed")),
        buyers=Count("buyer_id", distinct=True),
    )
    live = F("qty") - F("qty_cancelled") - F("qty_refunded")
    lines = Line.objects.filter(order__origin_stream=stream_id).aggregate(
        sold=Sum(live, filter=Q(state="paid"), default=0),
        held=Sum(live, filter=Q(state="held"), default=0),
        unpaid=Sum(live * F("unit_price_minor"), filter=Q(state="held"), default=0),
    )
    currency = orders.values_list("currency", flat=True).first() or ""
    return {
        "buyers": totals["buyers"],
        "orders_paid": totals["paid_orders"],
        "orders_placed": totals["placed_orders"],
        "units_sold": lines["sold"],
        "units_held": lines["held"],
        "revenue_minor": totals["paid"] - totals["refunded"],
        "unpaid_minor": lines["unpaid"],
        "currency": currency,
    }
