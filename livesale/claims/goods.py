"""The goods of a batch: commerce's stock and order books, driven by the log, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from chat.log.batch import Batch, Insert, Part
from chat.log.models import Audience
from chat.rooms.book import RoomBook
from commerce.errors import Refused
from commerce.orders.errors import CLAIM_SOLD_OUT
from commerce.orders.services import OrderBook
from commerce.orders.types import ClaimResult, ClaimTerms, News
from commerce.parts import together
from commerce.sql import Rows, any_of, ask, insert_rows
from commerce.stock.services import PoolCount, StockBook
from livesale.claims import gate
from livesale.sales.models import Offer
from livesale.sales.selectors import stock_value, stock_version

# People are reminded this long before their hold lapses, when at least twice as long is left of it.
REMIND_BEFORE = timedelta(minutes=2)
# Names in a summary, orders in a note to the staff: enough to be lively, bounded.
NAMES_TOLD = 3
ORDERS_TOLD = 20


# Text of an id, in a sixth of the time that `str` takes.
_text = msgspec.to_builtins


def claim_answer(terms: ClaimTerms, qty: int, result: ClaimResult) -> dict[str, Any]:
    """A claim's answer as its buyer gets it, at once and as an event."""
    return {
        "offer": _text(terms.offer_id),
        "order": _text(result.order_id),
        "title": terms.title,
        "qty": qty,
        "got": result.got,
        "waiting": result.waiting,
        "missed": result.missed,
        "unit_price_minor": terms.unit_price_minor,
        "currency": terms.currency,
        "line": _text(result.line_id),
        "hold_until": int(result.hold_until.timestamp() * 1000) if result.hold_until else None,
        "wait": _text(result.entry_id),
        "place": result.place,
    }


@dataclass(slots=True)
class _Taken:
    """What this batch has claimed on one offer at one set of terms."""

    terms: ClaimTerms
    units: int = 0
    orders: list[UUID] = field(default_factory=list)
    # those who agreed to be named, with their names
    named: dict[UUID, str] = field(default_factory=dict)


class Goods(Part):
    """Runs both books in their order of locks and turns their news into events of the streams where orders live."""

    rank: ClassVar[int] = 20

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        batch.part(RoomBook)
        self.stock = StockBook()
        self.orders = OrderBook(self.stock)
        # by the identity of the terms, which are kept with it
        self._taken: dict[int, _Taken] = {}
        # offers that are not what `_on_sale` says: the pool they draw on now, None for those that are sold no more
        self._drawing: dict[UUID, tuple[Offer, Any] | None] = {}
        self._planned: set[tuple[UUID, UUID, int, bool]] = set()
        self._sold_out: dict[UUID, gate.SoldOut] = {}
        # the offers that draw on the wanted pools, in whatever room
        self._on_sale: Callable[[], Rows] = list

    # --- declaring ----------------------------------------------------------------------------------------------

    def want_pools(self, pool_ids: Iterable[UUID]) -> None:
        self.stock.want(*pool_ids)

    def want_drops(self, offers: Iterable[Offer]) -> None:
        """Pools of those of these offers that are drops, with what they flow back to."""
        for offer in offers:
            if offer.is_drop:
                self.stock.want(offer.pool_id, offer.base_pool_id)

    # --- phases -------------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        return any([self.stock.lock(), self.orders.lock()])

    def load(self, now: datetime) -> Iterator[None]:
        pools = self.stock.wanted
        if pools:
            condition, ids = any_of("o.pool_id", pools)
            self._on_sale = ask(
                "SELECT o.id, o.room_id, o.pool_id, o.pool_generation FROM offer o JOIN sale s ON s.id = o.sale_id "  # noqa: S608 - names of ours, values are parameters
                f"WHERE {condition} AND o.removed_at IS NULL AND s.state <> 'ended'",
                [ids],
                "uuui",
            )
        yield from together(self.stock.load(now), self.orders.load(now))

    def finish(self, now: datetime) -> None:
        changed = self.stock.changed()
        self._tell_counts(changed)
        if changed:
            self.batch.on_commit.append(partial(gate.forget, {count.id for count in changed}))
        if self._sold_out:
            self._teach_gate()
        told = self._tell_people(self.orders.news)
        for taken in self._taken.values():
            told.setdefault(taken.terms.origin_stream, set()).update(taken.orders)
        for stream_id, orders in told.items():
            if self.batch.holds(stream_id):
                self.batch.emit(
                    stream_id,
                    "orders.changed",
                    {"count": len(orders), "orders": [str(o) for o in list(orders)[:ORDERS_TOLD]]},
                    audience=Audience.STAFF,
                )
        for pool_id in self.orders.more():
            # bounded work per batch: the rest follows at once, on a stream that is locked anyway
            self.batch.follow_up(
                next(iter(self.batch.heads)),
                "stock.settle",
                {"pool": pool_id},
                key=f"{pool_id} {now.timestamp()}",
            )
        for order_id, stream_id in self.orders.ended_orders().items():
            # a sweep finds holds by their pool and locks no orders; whose last it was is seen under the order's lock
            self.batch.follow_up(
                stream_id, "order.lapse", {"order": order_id}, key=f"{order_id} {now.timestamp()}"
            )

    def write(self, now: datetime, insert: Insert) -> None:
        self.stock.write(now, insert_rows)
        self.orders.write(now, insert_rows)

    # --- claims -------------------------------------------------------------------------------------------------

    def claim(
        self,
        terms: ClaimTerms,
        *,
        buyer: UUID,
        placed_by: UUID,
        qty: int,
        name: str = "",
    ) -> dict[str, Any]:
        """Decide a claim and answer its buyer.

        `name` is shown in the summary; empty for those who did not agree to be named.
        """
        try:
            result = self.orders.claim(
                terms=terms, buyer=buyer, placed_by=placed_by, qty=qty, now=self.batch.now
            )
        except Refused as refusal:
            if refusal.code == CLAIM_SOLD_OUT and buyer == placed_by:
                self._note_sold_out(terms, refusal, buyer)
            raise
        taken = self._taken.get(id(terms))
        if taken is None:
            taken = self._taken[id(terms)] = _Taken(terms)
        taken.orders.append(result.order_id)
        if result.got:
            if not taken.units:
                # the holds of one batch on the same terms end together
                assert result.hold_until is not None
                self.plan_lapse(terms.origin_stream, terms.pool_id, result.hold_until, remind=True)
            taken.units += result.got
            if name and len(taken.named) < NAMES_TOLD and name not in taken.named.values():
                taken.named[buyer] = name
        answer = claim_answer(terms, qty, result)
        self.batch.emit(
            terms.origin_stream, "claim.answered", answer, audience=Audience.PERSON, person_id=buyer
        )
        return answer

    def _note_sold_out(self, terms: ClaimTerms, refusal: Refused, buyer: UUID) -> None:
        fact = self._sold_out.get(terms.offer_id)
        if fact is None:
            room = self.batch.part(RoomBook).rooms.get(terms.origin_stream)
            fact = self._sold_out[terms.offer_id] = gate.SoldOut(
                terms.origin_stream, terms.shop_id, terms.pool_id, refusal, room is not None and room.open
            )
        fact.people.add(buyer)

    def _teach_gate(self) -> None:
        """Tell the gate after the commit what is sold out, unless this batch may have changed it since."""
        if all(r.spec.name in gate.HARMLESS for r in self.batch.requests):
            self.batch.on_commit.append(partial(gate.learn, self._sold_out))

    def plan_lapse(self, stream_id: UUID, pool_id: UUID, until: datetime, *, remind: bool = False) -> None:
        """Promise to look at a pool when a hold's time is up: one promise per pool and second.

        With `remind`, those whose holds of this stream end in that second hear of it before, if there is time enough.
        """
        second = int(until.timestamp()) + 1
        remind = remind and until - self.batch.now >= 2 * REMIND_BEFORE
        if (stream_id, pool_id, second, remind) in self._planned:
            return
        self._planned.add((stream_id, pool_id, second, remind))
        at = datetime.fromtimestamp(second, tz=until.tzinfo)
        self.batch.follow_up(stream_id, "stock.settle", {"pool": pool_id}, key=f"{pool_id} {second}", at=at)
        if remind:
            self.batch.follow_up(
                stream_id,
                "hold.remind",
                {"pool": pool_id, "until": second},
                key=f"{pool_id} {second}",
                at=at - REMIND_BEFORE,
            )

    # --- telling ------------------------------------------------------------------------------------------------

    def draws_on(self, offer: Offer, pool: Any) -> None:
        """The offer is new, or draws on another pool from now on: its room hears that pool's count in any case."""
        self._drawing[offer.id] = offer, pool

    def off_sale(self, offer: Offer) -> None:
        """The offer is sold no more: nobody hears of its stock."""
        self._drawing[offer.id] = None

    def tell_order(self, order_id: UUID) -> None:
        """Tell an order's buyer of a change for which commerce has no news: an address, a note."""
        order = self.orders.orders[order_id]
        self.orders.news.append(
            News("order.changed", order.buyer_id, order.shop_id, order.origin_stream, order.id)
        )

    def _tell_counts(self, changed: list[PoolCount]) -> None:
        """Every room that sells from a changed pool hears its count; a room that has claimed hears what it took."""
        counts = {c.id: c for c in changed}
        taken: dict[UUID, list[_Taken]] = {}
        for some in self._taken.values():
            if some.units:
                taken.setdefault(some.terms.offer_id, []).append(some)
        for offer_id, room_id, generation, count in self._counts_of_offers(counts):
            version = stock_version(generation, count.version)
            self.batch.signal(room_id, f"stock:{offer_id}", version, stock_value(count))
            if offer_id in taken and self.batch.holds(room_id):
                named = [pair for some in taken[offer_id] for pair in some.named.items()][:NAMES_TOLD]
                stored = {
                    "offer": str(offer_id),
                    "sold_now": sum(some.units for some in taken[offer_id]),
                    **stock_value(count),
                    "version": version,
                }
                self.batch.emit(
                    room_id,
                    "offer.claimed",
                    {**stored, "people": [str(person_id) for person_id, _ in named]},
                    wire={**stored, "names": list(dict.fromkeys(name for _, name in named))},
                )

    def _counts_of_offers(self, changed: dict[UUID, PoolCount]) -> Iterator[tuple[UUID, UUID, int, Any]]:
        """(offer, its room, generation, count) of the offers whose count is another one after this batch."""
        if changed:
            for offer_id, room_id, pool_id, generation in self._on_sale():
                if pool_id in changed and offer_id not in self._drawing:
                    yield offer_id, room_id, generation, changed[pool_id]
        for offer, pool in filter(None, self._drawing.values()):
            yield offer.id, offer.room_id, offer.pool_generation, changed.get(pool.id, pool)

    def _tell_people(self, news: list[News]) -> dict[UUID, set[UUID]]:
        """Each person hears of each of their changed orders once per batch; other streams hear by follow-up."""
        told: dict[UUID, set[UUID]] = {}
        for n in news:
            self.batch.ring(n.person_id)
            if n.kind in {"turn.offered", "hold.extended"} and n.pool_id is not None:
                self.plan_lapse(n.origin_stream, n.pool_id, n.facts["hold_until"], remind=True)
            self._notice(n)
            orders = told.setdefault(n.origin_stream, set())
            if n.order_id in orders:
                continue
            orders.add(n.order_id)
            if self.batch.holds(n.origin_stream):
                self.batch.emit(
                    n.origin_stream,
                    "order.changed",
                    {"order": str(n.order_id)},
                    audience=Audience.PERSON,
                    person_id=n.person_id,
                )
            else:
                self.batch.follow_up(
                    n.origin_stream,
                    "order.told",
                    {"order": n.order_id, "person": n.person_id},
                    key=f"{n.order_id} {self.batch.now.timestamp()}",
                )
        return told

    def _notice(self, n: News) -> None:
        if n.kind in {"turn.offered", "order.paid"}:
            self.batch.effect(
                "notice.mail",
                {
                    "kind": n.kind,
                    "person": str(n.person_id),
                    "order": str(n.order_id),
                    "line": str(n.line_id or ""),
                },
                key=f"{n.kind} {n.line_id or n.order_id} {self.batch.now.timestamp()}",
            )
