"""Commands about orders, on the stream where the order was born."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from uuid_utils.compat import uuid7

from chat.log.batch import SYSTEM, Batch, Request
from chat.log.errors import Refused, describe
from chat.log.registry import Handler, command
from chat.moderation.audit import Audit
from commerce.orders.types import RefundDue
from commerce.payments.gateways import Request as GatewayRequest
from commerce.payments.gateways import check_method, gateway
from livesale.backoffice.staff import Staff
from livesale.claims.goods import Goods

describe("order.elsewhere", "That order belongs to another room.")

Reason = Annotated[str, msgspec.Meta(max_length=200)]
Field = Annotated[str, msgspec.Meta(max_length=200)]


class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom it goes to. Seen by the buyer and the shop's staff only."""

    name: Field
    phone: Field = ""
    email: Field = ""
    street: Field = ""
    postcode: Field = ""
    city: Field = ""
    country: Field = ""


class DeliverOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Choose one of the shop's ways to get the goods, and say whom they go to."""

    order: UUID
    option: UUID
    contact: ContactBody
    note: Annotated[str, msgspec.Meta(max_length=500)] = ""


class PayOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Place the basket if it is still one, and begin to pay it."""

    order: UUID
    gateway: Literal["sandbox", "manual"] = "sandbox"
    method: Literal["", "cash", "transfer", "on_pickup"] = ""


class CancelOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Give up an unpaid order: what it holds goes to the next in line."""

    order: UUID


class MarkPaid(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Staff: the money is in hand. With `amount_minor`, refused when another amount is due by now."""

    order: UUID
    method: Literal["cash", "transfer", "on_pickup"] = "cash"
    amount_minor: Annotated[int, msgspec.Meta(ge=0, le=10**15)] | None = None


class RefundLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    line: UUID
    qty: Annotated[int, msgspec.Meta(ge=1, le=999)]


class RefundOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Staff: pay back units, or an amount, or (neither given) everything. Units go back into stock once."""

    order: UUID
    # an empty list is no request for everything: only leaving both out is
    lines: Annotated[list[RefundLine], msgspec.Meta(min_length=1, max_length=200)] | None = None
    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=10**15)] | None = None
    reason: Reason = ""
    restock: bool = True


class SettleRefund(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Staff: money that had to go back was given back by hand (`done`), or the gateway is to be asked `again`."""

    refund: UUID
    outcome: Literal["done", "again"]


class FulfilOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Staff: the order was packed, shipped, is ready for pick-up or was handed over."""

    order: UUID
    state: Literal["none", "packed", "shipped", "ready", "handed_over"]


class PaymentReported(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A gateway's verified webhook about an attempt."""

    attempt: UUID
    event_id: Annotated[str, msgspec.Meta(max_length=120)]
    kind: Literal["succeeded", "failed", "cancelled"]
    amount_minor: int
    currency: str


class RefundReported(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A gateway has paid back, or could not."""

    refund: UUID
    ok: bool


class AttemptExpired(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The time for an attempt to pay is over."""

    attempt: UUID


class LapseOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A hold of a placed order has lapsed: if it was the last, so has the order."""

    order: UUID


class _OnOrder(Handler):
    """Commands about one order. `staff`: only the shop's staff with `permission`; else its buyer."""

    permission = ""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        goods = batch.part(Goods)
        batch.part(Audit)
        for r in requests:
            batch.part(Staff).want(r.actor_id)
            goods.orders.want_checkout(r.body.order)

    def shop(self, batch: Batch, request: Request) -> UUID:
        """The shop, whose staff the actor is."""
        staff = batch.part(Staff)
        shop_id = staff.shop_of(request.stream_id)
        staff.require(shop_id, request.actor_id, self.permission)
        self.check_home(batch, request, shop_id=shop_id)
        return shop_id

    def check_home(self, batch: Batch, request: Request, **who: UUID) -> None:
        order = batch.part(Goods).orders.order(request.body.order, **who)
        if order.origin_stream != request.stream_id:
            raise Refused("order.elsewhere")


@command("order.deliver", DeliverOrder, on=("room", "shop"))
class Deliver(_OnOrder):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.check_home(batch, request, buyer=request.actor_id)
        goods, body = batch.part(Goods), request.body
        goods.orders.set_delivery(
            order_id=body.order,
            option_id=body.option,
            contact=msgspec.to_builtins(body.contact),
            note=body.note,
            buyer=request.actor_id,
        )
        goods.tell_order(body.order)
        return {}


@command("order.pay", PayOrder, on=("room", "shop"))
class Pay(_OnOrder):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.check_home(batch, request, buyer=request.actor_id)
        body, orders = request.body, batch.part(Goods).orders
        if body.gateway == "sandbox" and not settings.LIVESALE_SANDBOX_ENABLED:
            raise Refused("payment.gateway_unknown", name=body.gateway)
        chosen = gateway(body.gateway)
        check_method(chosen, body.method)
        order = orders.order(body.order, buyer=request.actor_id)
        if order.state == "open":
            # before it is placed: what is refused has changed nothing
            orders.check_method(order_id=body.order, method=body.method, buyer=request.actor_id)
            placed = orders.checkout(order_id=body.order, buyer=request.actor_id)
            if placed.total_minor == 0:
                return {"order": str(body.order), "number": placed.number, "amount_minor": 0, "url": None}
        window = chosen.window(body.method)
        begun = orders.begin_payment(
            order_id=body.order,
            gateway=body.gateway,
            method=body.method,
            deadline=batch.now + window,
            keep=window if chosen.keeps_holds(body.method) else None,
            attempt_id=uuid7(),
            buyer=request.actor_id,
        )
        started = chosen.begin(
            GatewayRequest(
                begun.attempt_id, begun.amount_minor, begun.currency, begun.reference, begun.method
            ),
            batch.now,
        )
        orders.payment_begun(attempt_id=begun.attempt_id, provider_ref=started.provider_ref)
        for line in order.lines:
            if line.state == "held":
                batch.part(Goods).plan_lapse(request.stream_id, line.pool_id, line.hold_until)
        batch.follow_up(
            request.stream_id,
            "payment.expired",
            {"attempt": begun.attempt_id},
            key=str(begun.attempt_id),
            at=begun.deadline,
        )
        return {
            "order": str(body.order),
            "number": order.number,
            "attempt": str(begun.attempt_id),
            "amount_minor": begun.amount_minor,
            "currency": begun.currency,
            "url": f"/pay/sandbox/{begun.attempt_id}/" if body.gateway == "sandbox" else None,
            "reference": begun.reference,
            "instructions": started.instructions.get("code"),
            "deadline": int(begun.deadline.timestamp() * 1000),
        }


@command("order.cancel", CancelOrder, on=("room", "shop"))
class Cancel(_OnOrder):
    permission = "order.manage"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        orders = batch.part(Goods).orders
        found = orders.orders.get(request.body.order)
        if found is not None and found.buyer_id == request.actor_id:
            self.check_home(batch, request, buyer=request.actor_id)
            orders.cancel_order(order_id=request.body.order, buyer=request.actor_id, actor=request.actor_id)
        else:
            shop_id = self.shop(batch, request)
            orders.cancel_order(order_id=request.body.order, shop_id=shop_id, actor=request.actor_id)
            batch.part(Audit).add(request, "order.cancel", target_id=request.body.order)
        return {}


@command("order.mark_paid", MarkPaid, on=("room", "shop"))
class Mark(_OnOrder):
    permission = "order.manage"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body, orders = request.body, batch.part(Goods).orders
        if orders.order(body.order, shop_id=shop_id).state == "open":
            # before it is placed: what is refused has changed nothing
            orders.agree(order_id=body.order, shop_id=shop_id, amount_minor=body.amount_minor)
            placed = orders.checkout(order_id=body.order, shop_id=shop_id)
            if placed.total_minor == 0:
                # placing it has sold it, there is no money to book
                batch.part(Audit).add(request, "order.mark_paid", target_id=body.order, paid=0)
                return {"outcome": "paid"}
        settled = orders.mark_paid(
            order_id=body.order,
            shop_id=shop_id,
            actor=request.actor_id,
            method=body.method,
            amount_minor=body.amount_minor,
            now=batch.now,
        )
        ask_refunds(batch, request.stream_id, settled.refunds)
        batch.part(Audit).add(request, "order.mark_paid", target_id=body.order, paid=settled.paid_minor)
        return {"outcome": settled.outcome}


@command("order.refund", RefundOrder, on=("room", "shop"))
class Refund(_OnOrder):
    permission = "order.manage"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        body = request.body
        lines = None if body.lines is None else {line.line: line.qty for line in body.lines}
        if lines is not None and len(lines) < len(body.lines):
            raise Refused("command.invalid", reason="a line is given twice")
        due = batch.part(Goods).orders.refund(
            order_id=body.order,
            shop_id=shop_id,
            actor=request.actor_id,
            lines=lines,
            amount_minor=body.amount_minor,
            reason=body.reason,
            restock=body.restock,
        )
        ask_refunds(batch, request.stream_id, due)
        total = sum(d.amount_minor for d in due)
        batch.part(Audit).add(request, "order.refund", target_id=body.order, amount_minor=total)
        return {"amount_minor": total}


@command("refund.settle", SettleRefund, on=("room", "shop"))
class SettleOneRefund(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        goods = batch.part(Goods)
        batch.part(Audit)
        for r in requests:
            batch.part(Staff).want(r.actor_id)
            goods.orders.want_refunds(r.body.refund)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        staff, orders, body = batch.part(Staff), batch.part(Goods).orders, request.body
        shop_id = staff.shop_of(request.stream_id)
        staff.require(shop_id, request.actor_id, "order.manage")
        order = orders.order_of_refund(refund_id=body.refund, shop_id=shop_id)
        if order.origin_stream != request.stream_id:
            raise Refused("order.elsewhere")
        due = orders.settle_refund(refund_id=body.refund, shop_id=shop_id, outcome=body.outcome)
        if body.outcome == "again":
            ask_gateway(batch, request.stream_id, due, again=str(request.client_id))
        else:
            tell_of_refund(batch, "refund.settled", order.buyer_id, due)
        batch.part(Audit).add(
            request, "refund.settle", target_id=order.id, refund=str(body.refund), outcome=body.outcome
        )
        return {"state": "due" if body.outcome == "again" else "done"}


@command("order.fulfil", FulfilOrder, on=("room", "shop"))
class Fulfil(_OnOrder):
    permission = "order.pack"

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        shop_id = self.shop(batch, request)
        batch.part(Goods).orders.set_fulfilment(
            order_id=request.body.order, shop_id=shop_id, state=request.body.state
        )
        batch.part(Audit).add(request, "order.fulfil", target_id=request.body.order, state=request.body.state)
        return {}


def tell_of_refund(batch: Batch, kind: str, buyer: UUID, due: RefundDue) -> None:
    """Promise a mail about this refund: with its own amount, for an order may have several."""
    batch.effect(
        "notice.mail",
        {
            "kind": kind,
            "person": str(buyer),
            "order": str(due.order_id),
            "line": "",
            "amount_minor": due.amount_minor,
            "currency": due.currency,
        },
        key=f"{kind} {due.refund_id}",
    )


def ask_refunds(batch: Batch, stream_id: UUID, due: Sequence[RefundDue]) -> None:
    """Promise to ask the gateways for what is owed back, and to tell the buyers; the answers return as commands."""
    for d in due:
        buyer = batch.part(Goods).orders.orders[d.order_id].buyer_id
        tell_of_refund(batch, "order.refunded", buyer, d)
        ask_gateway(batch, stream_id, d)


def ask_gateway(batch: Batch, stream_id: UUID, due: RefundDue, again: str = "") -> None:
    """`again` tells apart the times when it is asked for the same refund."""
    batch.effect(
        "payment.refund",
        {
            "stream": str(stream_id),
            "refund": str(due.refund_id),
            "attempt": str(due.attempt_id),
            "gateway": due.gateway,
            "amount_minor": due.amount_minor,
            "currency": due.currency,
            "again": again,
        },
        key=f"{due.refund_id} {again}".strip(),
    )


@command("payment.reported", PaymentReported, on=("room", "shop"), system=True)
class Reported(Handler):
    """A payment has come, failed or was given up: what is held is sold, what lapsed is taken again or paid back."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Goods).orders.want_payment(r.body.attempt)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        assert request.actor_id == SYSTEM
        body, orders = request.body, batch.part(Goods).orders
        if body.kind != "succeeded":
            changed = orders.payment_failed(attempt_id=body.attempt, state=body.kind, event_id=body.event_id)
            return {"outcome": body.kind if changed else "ignored"}
        settled = orders.payment_succeeded(
            attempt_id=body.attempt,
            amount_minor=body.amount_minor,
            currency=body.currency,
            event_id=body.event_id,
            now=batch.now,
        )
        ask_refunds(batch, request.stream_id, settled.refunds)
        return {"outcome": settled.outcome, "order": str(settled.order_id), "repeated": settled.repeated}


@command("payment.refunded", RefundReported, on=("room", "shop"), system=True)
class Refunded(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Goods).orders.want_refunds(r.body.refund)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        changed = batch.part(Goods).orders.refund_settled(refund_id=request.body.refund, ok=request.body.ok)
        return {"changed": changed}


@command("payment.expired", AttemptExpired, on=("room", "shop"), system=True)
class Expired(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Goods).orders.want_payment(r.body.attempt)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        changed = batch.part(Goods).orders.payment_failed(attempt_id=request.body.attempt, state="expired")
        return {"changed": changed}


@command("order.lapse", LapseOrder, on=("room", "shop"), system=True)
class Lapse(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Goods).orders.want_order(r.body.order)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        return {"changed": batch.part(Goods).orders.lapse_order(order_id=request.body.order)}
