"""Claiming units: by typing, by button, for a neighbour; extending, giving back, passing on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec

from chat.log.batch import SYSTEM, Batch, Request
from chat.log.errors import Refused, describe
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.book import MessageBook
from chat.messages.commands import Text, declare_message, send_message
from chat.moderation.audit import Audit
from chat.moderation.commands import when_removed
from chat.rooms.book import RoomBook
from commerce.orders.models import Line
from commerce.orders.types import ClaimTerms
from livesale.claims.goods import Goods
from livesale.claims.language import Parsed, parse
from livesale.claims.people import Consents
from livesale.sales.book import SaleBook
from livesale.sales.models import Offer, Sale, SaleState

describe("claim.not_open", "That cannot be ordered right now.")
describe("claim.not_yet", "That opens in {seconds} seconds.")
describe("claim.over", "That drop is over.")
describe("claim.unknown_code", "There is nothing with the code {said} in this sale.")
describe("claim.which_variant", "Which one? {said} comes in: {options}.")
describe("claim.nothing_featured", "Nothing is featured right now. Type the code of what you want.")

Quantity = Annotated[int, msgspec.Meta(ge=1, le=999)]


class Say(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a composer sends: a claim when the whole text is one ("sold 12 M x2", "+1"), else a message."""

    text: Text
    reply_to: UUID | None = None


class PlaceClaim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Claim units of an offer: what is free is held for you, the rest waits in line. `buyer`: staff for a neighbour."""

    offer: UUID
    qty: Quantity = 1
    buyer: UUID | None = None


class ExtendHold(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Keep a hold longer, once."""

    line: UUID


class CancelClaim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Give back units that are not paid: all of a line, or some. What of the offer was still waited for is given up."""

    line: UUID
    qty: Quantity | None = None


class PassTurn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Decline an offered turn and wait no longer: the next in line gets it at once."""

    line: UUID


class LeaveWaitlist(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Wait no longer."""

    waiting: UUID


class SettleStock(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Look at a pool: holds whose time is up lapse, who waits is served."""

    pool: UUID


class RemindHolds(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Holds on this pool that were promised here end in the second before this one: tell the people."""

    pool: UUID
    until: int


class TellOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An order born here was changed from another stream."""

    order: UUID
    person: UUID


class ShutOut(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Somebody was banned from all of the shop's rooms."""

    person: UUID


def terms_of(sale: Sale, offer: Offer) -> ClaimTerms:
    """What the server promises for this offer now; nothing of it comes from the client."""
    title = f"{offer.title} {offer.label}".strip()
    return ClaimTerms(
        shop_id=offer.tenant_id,
        scope_id=sale.id,
        origin_stream=offer.room_id,
        offer_id=offer.id,
        pool_id=offer.pool_id,
        variant_id=offer.variant_id,
        title=title,
        unit_price_minor=offer.price_now,
        currency=offer.currency,
        limit_per_buyer=offer.limit_now,
        hold_seconds=offer.hold_seconds or sale.hold_seconds,
        waitlist_cap=offer.waitlist_now,
        max_unpaid_units=sale.max_unpaid_units,
        extension_seconds=sale.extension_seconds,
        terms={"code": offer.code, "generation": offer.pool_generation},
    )


class _Claiming(Handler):
    """What typed and tapped claims share. One object of terms per offer and batch."""

    def _declare_claim(self, goods: Goods, consents: Consents, offer: Offer | None, buyer: UUID) -> None:
        if offer is None:
            return
        consents.want(buyer)
        goods.orders.want_claim(
            buyer=buyer,
            shop_id=offer.tenant_id,
            scope_id=offer.sale_id,
            offer_id=offer.id,
            pool_id=offer.pool_id,
        )

    def _claim(self, batch: Batch, request: Request, offer: Offer, buyer: UUID, qty: int) -> dict[str, Any]:
        sales, consents = batch.part(SaleBook), batch.part(Consents)
        terms = consents.terms(
            offer, sales.changes, lambda: self._open_terms(batch, sales.sale(request.stream_id), offer)
        )
        return batch.part(Goods).claim(
            terms,
            buyer=buyer,
            placed_by=request.actor_id,
            qty=qty,
            name=consents.shown_name(buyer),
        )

    def outcome(self, answer: dict[str, Any]) -> str:
        claim = answer.get("claim", answer)
        if "got" not in claim:
            return "ok"
        if claim["got"] == claim["qty"]:
            return "claim.filled"
        return "claim.part" if claim["got"] else "claim.waiting"

    def _open_terms(self, batch: Batch, sale: Sale, offer: Offer) -> ClaimTerms:
        """The terms of an offer that is open at this moment."""
        if sale.state != SaleState.LIVE or offer.sale_id != sale.id:
            raise Refused("claim.not_open")
        if offer.claimable(batch.now):
            return terms_of(sale, offer)
        if offer.drop_opens_at is not None and batch.now < offer.drop_opens_at:
            seconds = int((offer.drop_opens_at - batch.now).total_seconds()) + 1
            raise Refused("claim.not_yet", temporary=False, seconds=seconds)
        raise Refused("claim.over" if offer.is_drop else "claim.not_open")


@command("say", Say)
class SayOrClaim(_Claiming):
    """A claim if the text is one, else a message: decided while declaring, because a claim locks its pool."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        sales, rooms = batch.part(SaleBook), batch.part(RoomBook)
        # every part that deciding may touch exists from now on
        goods, consents, _ = batch.part(Goods), batch.part(Consents), batch.part(MessageBook)
        sales.fetch([r.stream_id for r in requests])
        for r in requests:
            parsed = self._parse(sales, r)
            if parsed is None:
                declare_message(batch, [r])
            else:
                rooms.want(r.stream_id, [r.actor_id])
                offer = self._offer(sales, r.stream_id, parsed)
                self._declare_claim(goods, consents, offer, r.actor_id)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        sales = batch.part(SaleBook)
        parsed = self._parse(sales, request)
        if parsed is None:
            body = request.body
            return send_message(batch, request.stream_id, request.actor_id, body.text, body.reply_to)
        batch.part(RoomBook).require(request.stream_id, request.actor_id, "claim.place")
        if parsed.problem:
            raise Refused(parsed.problem, said=parsed.said, options=", ".join(parsed.options), most=999)
        assert parsed.offer_id is not None
        offer = sales.offer(request.stream_id, parsed.offer_id)
        return {"claim": self._claim(batch, request, offer, request.actor_id, parsed.qty)}

    def _parse(self, sales: SaleBook, request: Request) -> Parsed | None:
        # what is on offer when the batch begins is what the person saw at the latest
        sale = sales.sale_or_none(request.stream_id)
        if sale is None or sale.state not in {SaleState.LIVE, SaleState.PAUSED}:
            return None
        return sales.parse_once(
            request, lambda: parse(request.body.text, sales.offers(request.stream_id), sale.featured_id)
        )

    def _offer(self, sales: SaleBook, room_id: UUID, parsed: Parsed) -> Offer | None:
        return sales.offer_or_none(room_id, parsed.offer_id) if parsed.offer_id else None


@command("claim.place", PlaceClaim)
class Place(_Claiming):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        sales, rooms = batch.part(SaleBook), batch.part(RoomBook)
        goods, consents, _ = batch.part(Goods), batch.part(Consents), batch.part(Audit)
        sales.fetch([r.stream_id for r in requests])
        for r in requests:
            buyer = r.body.buyer or r.actor_id
            rooms.want(r.stream_id, [r.actor_id] if buyer is r.actor_id else [r.actor_id, buyer])
            self._declare_claim(goods, consents, sales.offer_or_none(r.stream_id, r.body.offer), buyer)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        rooms = batch.part(RoomBook)
        standing = rooms.require(request.stream_id, request.actor_id, "claim.place")
        buyer = request.body.buyer or request.actor_id
        for_other = buyer is not request.actor_id and buyer != request.actor_id
        if for_other:
            if not rooms.may(request.stream_id, standing, "claim.for_others"):
                raise Refused("permission.denied")
            if rooms.is_gone(buyer):
                raise Refused("person.unknown")
            if rooms.standing(request.stream_id, buyer).banned:
                raise Refused("member.banned")
        offer = batch.part(SaleBook).offer(request.stream_id, request.body.offer)
        answer = self._claim(batch, request, offer, buyer, request.body.qty)
        if for_other:
            batch.part(Audit).add(request, "claim.for_other", target_id=buyer, offer=str(offer.id))
        return answer


class _OnLine(Handler):
    """Commands about one of the actor's own lines. The line's order must have been born in this stream."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        goods = batch.part(Goods)
        for r in requests:
            goods.orders.want_lines(r.body.line)

    def check(self, batch: Batch, request: Request) -> None:
        line = batch.part(Goods).orders.line(request.body.line, buyer=request.actor_id)
        if line.origin_stream != request.stream_id:
            raise Refused("order.elsewhere")


@command("claim.extend", ExtendHold, on=("room", "shop"))
class Extend(_OnLine):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.check(batch, request)
        until = batch.part(Goods).orders.extend(line_id=request.body.line, buyer=request.actor_id)
        return {"hold_until": int(until.timestamp() * 1000)}


@command("claim.cancel", CancelClaim, on=("room", "shop"))
class Cancel(_OnLine):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.check(batch, request)
        left = batch.part(Goods).orders.cancel(
            line_id=request.body.line, qty=request.body.qty, buyer=request.actor_id, actor=request.actor_id
        )
        return {"left": left}


@command("claim.pass", PassTurn, on=("room", "shop"))
class Pass(_OnLine):
    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        self.check(batch, request)
        batch.part(Goods).orders.pass_turn(line_id=request.body.line, buyer=request.actor_id)
        return {}


@command("claim.leave", LeaveWaitlist, on=("room", "shop"))
class LeaveLine(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        goods = batch.part(Goods)
        for r in requests:
            goods.orders.want_entries(r.body.waiting)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        batch.part(Goods).orders.leave_waitlist(entry_id=request.body.waiting, buyer=request.actor_id)
        return {}


@command("stock.settle", SettleStock, on=("room", "shop"), system=True)
class Settle(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        batch.part(Goods).want_pools(r.body.pool for r in requests)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        # loading has let lapse what is due and has served who waits
        return {}


@command("hold.remind", RemindHolds, on=("room", "shop"), system=True)
class Remind(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        pass

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        until = datetime.fromtimestamp(request.body.until, UTC)
        # Every second in which holds end has a promise of its own, in every stream that has made some. Whoever has
        # given back, paid or got more time has no hold any more that ends in this one.
        lines = Line.objects.filter(
            pool_id=request.body.pool,
            state="held",
            hold_until__gte=until - timedelta(seconds=1),
            hold_until__lt=until,
            order__origin_stream=request.stream_id,
        ).filter(hold_until__gt=batch.now)
        for line_id, buyer_id, order_id, ends in lines.values_list(
            "id", "buyer_id", "order_id", "hold_until"
        ):
            batch.ring(buyer_id)
            batch.effect(
                "notice.mail",
                {
                    "kind": "hold.lapses_soon",
                    "person": str(buyer_id),
                    "order": str(order_id),
                    "line": str(line_id),
                },
                key=f"soon {line_id} {ends.timestamp()}",
            )
        return {}


@command("order.told", TellOrder, on=("room", "shop"), system=True)
class Told(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        pass

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        assert request.actor_id == SYSTEM
        batch.emit(
            request.stream_id,
            "order.changed",
            {"order": str(request.body.order)},
            audience=Audience.PERSON,
            person_id=request.body.person,
        )
        batch.emit(
            request.stream_id,
            "orders.changed",
            {"count": 1, "orders": [str(request.body.order)]},
            audience=Audience.STAFF,
        )
        return {}


@command("buyer.shut_out", ShutOut, on=("shop",), system=True)
class ShutOutBuyer(Handler):
    """Nothing unpaid is kept for somebody who was put out of the whole shop, wherever they have claimed it."""

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        for r in requests:
            batch.part(Goods).orders.want_person(buyer=r.body.person, shop_id=r.stream_id)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        let_go_of_everything(batch, request.stream_id, request.body.person, "buyer.shut_out")
        return {}


def let_go_of_everything(batch: Batch, shop_id: UUID, person_id: UUID, again: str) -> None:
    """All that somebody has not paid for in a shop, in whatever room they have claimed it.

    A room whose batch was on its way goes on while this is decided: what it has set aside meanwhile is for one more
    command of the name `again`.
    """
    dropped = batch.part(Goods).orders.drop_person(buyer=person_id, shop_id=shop_id)
    if dropped.missed:
        key = f"{person_id} {batch.now.timestamp()}"
        batch.follow_up(shop_id, again, {"person": person_id}, key=key)


def _declare_removal(batch: Batch, pairs: Sequence[tuple[UUID, UUID]]) -> None:
    sales, goods = batch.part(SaleBook), batch.part(Goods)
    sales.fetch([room_id for room_id, _ in pairs])
    for room_id, person_id in pairs:
        sale = sales.sale_or_none(room_id)
        if sale is not None:
            goods.orders.want_person(buyer=person_id, shop_id=sale.tenant_id, scope_id=sale.id)


def _let_go(batch: Batch, room_id: UUID, person_id: UUID, everywhere: bool) -> None:
    """A person put out of a room loses their unpaid holds and places of its sale; the next in line get them.

    With `everywhere` they lose those of the storefront, too, which is no room that could be told.
    """
    if everywhere:
        shop_id = batch.part(RoomBook).room(room_id).tenant_id
        key = f"{person_id} {batch.now.timestamp()}"
        batch.follow_up(shop_id, "buyer.shut_out", {"person": person_id}, key=key)
    sale = batch.part(SaleBook).sale_or_none(room_id)
    if sale is not None:
        batch.part(Goods).orders.drop_person(buyer=person_id, shop_id=sale.tenant_id, scope_id=sale.id)


when_removed(declare=_declare_removal, decide=_let_go)
