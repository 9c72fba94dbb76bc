"""A shop's orders, for those who work there."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from chat.log import clock
from chat.log.errors import Refused
from commerce.orders import selectors
from commerce.orders.due import due
from commerce.orders.models import Order
from commerce.payments.selectors import OpenRefund as OpenRefundRow
from commerce.payments.selectors import open_refunds
from commerce.shops.models import Shop
from livesale.accounts.models import User
from livesale.claims.views import ms, order_views
from livesale.rest.api import Api, operation
from livesale.rest.shops import find_shop, require_staff

_CONTACT = ("name", "phone", "email", "street", "postcode", "city", "country")

State = Literal["open", "placed", "paid", "lapsed", "cancelled"]


class OrderQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    state: State | None = None
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ExportQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    state: State | None = None


class Buyer(msgspec.Struct, frozen=True):
    """Whose order it is."""

    person: UUID
    name: str


class Contact(msgspec.Struct, frozen=True):
    """Whom the order goes to. Personal data."""

    name: str = ""
    phone: str = ""
    email: str = ""
    street: str = ""
    postcode: str = ""
    city: str = ""
    country: str = ""


class OpenRefund(msgspec.Struct, frozen=True):
    """Money that has to go back and has not yet: the gateway was asked (`due`) or could not (`failed`)."""

    refund: UUID
    gateway: str
    state: str
    amount_minor: int
    currency: str
    since: int


class ShopOrder(msgspec.Struct, frozen=True):
    """An order as those who pack it see it. `due_minor` is what `order.mark_paid` would book now."""

    order: UUID
    number: int | None
    stream: UUID
    scope: UUID
    shop: UUID
    state: str
    payment_state: str
    fulfilment_state: str
    currency: str
    lines: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    total_minor: int
    paid_minor: int
    refunded_minor: int
    delivery_kind: str
    delivery_option: UUID | None
    has_contact: bool
    hold_until: int | None
    attempt: dict[str, Any] | None
    buyer: Buyer
    contact: Contact | None
    note: str
    due_minor: int
    refunds: list[OpenRefund]
    created_at: int
    placed_at: int | None


class Orders(msgspec.Struct, frozen=True):
    """One page of orders, the newest first. `more` when there are further ones."""

    orders: list[ShopOrder]
    more: bool


def staff_order_views(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Orders with buyer and contact: only for those who work in their shop."""
    owed = due(orders, now=clock.now())
    back = open_refunds(o.id for o in orders)
    names = dict(User.objects.filter(id__in={o.buyer_id for o in orders}).values_list("id", "name"))
    return [
        {
            **view,
            "buyer": {"person": order.buyer_id, "name": names.get(order.buyer_id, "")},
            "contact": _contact(order),
            "note": order.note,
            "due_minor": owed[order.id],
            "refunds": [_open_refund(refund) for refund in back.get(order.id, ())],
            "created_at": ms(order.created_at),
            "placed_at": ms(order.placed_at),
        }
        for order, view in zip(orders, order_views(orders), strict=True)
    ]


def _open_refund(refund: OpenRefundRow) -> dict[str, Any]:
    return {
        "refund": refund.id,
        "gateway": refund.gateway,
        "state": refund.state,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "since": ms(refund.created_at),
    }


def _contact(order: Order) -> dict[str, str] | None:
    contact = getattr(order, "contact", None)
    return {name: getattr(contact, name) for name in _CONTACT} if contact is not None else None


class _ForStaff(Api):
    def shop(self, name: str) -> Shop:
        """The shop, if this person works there and may see its orders."""
        person_id = self.require_person()
        shop = find_shop(name)
        require_staff(shop.id, person_id, "order.pack")
        return shop


class OrdersView(_ForStaff):
    @operation("shop.orders", answer=Orders, query=OrderQuery)
    def get(self, request: Request, shop: str, query: OrderQuery) -> dict[str, Any]:
        """A shop's orders, the newest first. Baskets only with `state=open`."""
        found = selectors.orders(shop_id=self.shop(shop).id, state=query.state)
        page = list(found[query.offset : query.offset + query.limit + 1])
        return {"orders": staff_order_views(page[: query.limit]), "more": len(page) > query.limit}


class OrderView(_ForStaff):
    @operation("shop.order", answer=ShopOrder)
    def get(self, request: Request, shop: str, order: UUID) -> dict[str, Any]:
        """One order of a shop."""
        found = selectors.order(shop_id=self.shop(shop).id, order_id=order)
        if found is None:
            raise Refused("order.unknown")
        return staff_order_views([found])[0]


class ExportView(_ForStaff):
    @operation("shop.orders_csv", answer=str, query=ExportQuery, media_type="text/csv")
    def get(self, request: Request, shop: str, query: ExportQuery) -> HttpResponse:
        """A shop's orders as a table, one row per line of an order."""
        out = StringIO()
        csv.writer(out).writerows(selectors.csv_rows(shop_id=self.shop(shop).id, state=query.state))
        # the mark lets spreadsheets know that it is UTF-8
        response = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="orders.csv"'
        return response
