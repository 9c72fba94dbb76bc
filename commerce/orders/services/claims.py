"""Claims, holds and turns: who gets which units until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from commerce.errors import Refused
from commerce.ids import new_id, pair
from commerce.orders import errors
from commerce.orders.rows import LineRow
from commerce.orders.services.core import Core
from commerce.orders.types import ClaimResult, ClaimTerms, Dropped, News
from commerce.stock.services import PoolState
from commerce.stock.waitlist import Entry

MOST_PER_CLAIM = 999


class Claims(Core):
    def claim(
        self, *, terms: ClaimTerms, buyer: UUID, placed_by: UUID, qty: int, now: datetime
    ) -> ClaimResult:
        """Set up to ``qty`` units aside for the buyer; the rest waits if the terms allow it.

        Whoever waits already comes first: then the whole claim waits. A part fill is an answer, not a refusal.
        Raises `Refused`: ``claim.quantity``, ``claim.limit``, ``claim.unpaid_cap``, ``claim.sold_out``,
        ``offer.unknown``, ``offer.closed``.
        """
        if type(qty) is not int or not 1 <= qty <= MOST_PER_CLAIM:
            raise Refused(errors.CLAIM_QUANTITY, most=MOST_PER_CLAIM)
        pool = self.stock.pools.get(terms.pool_id)
        if (
            pool is None
            or pool.shop_id.int != terms.shop_id.int
            or pool.variant_id.int != terms.variant_id.int
        ):
            raise Refused(errors.OFFER_UNKNOWN)
        if pool.closed_at is not None:
            raise Refused(errors.OFFER_CLOSED)
        of_offer = pair(buyer, terms.offer_id)
        used = self._used.get(of_offer, 0)
        limit = terms.limit_per_buyer
        if limit is not None and used + qty > limit:
            raise Refused(errors.CLAIM_LIMIT, limit=limit, used=used, left=max(0, limit - used))
        free = pool.stock - pool.held - pool.sold
        got = 0 if pool.waiting else min(qty, free)
        rest = qty - got
        can_wait = rest > 0 and pool.waiting < terms.waitlist_cap
        if got == 0 and not can_wait:
            raise Refused(errors.CLAIM_SOLD_OUT, waiting=pool.waiting, cap=terms.waitlist_cap)
        unpaid = self._unpaid.get(pair(buyer, terms.shop_id), 0)
        asked = unpaid + (qty if can_wait else got)
        if terms.max_unpaid_units is not None and asked > terms.max_unpaid_units:
            raise Refused(errors.CLAIM_UNPAID, cap=terms.max_unpaid_units, held=unpaid)

        result = ClaimResult(got, self._basket(terms, buyer, now))
        if got:
            line = self._hold(terms, pool, result.order_id, buyer, placed_by, got, now, turn=False)
            result.line_id, result.hold_until = line.id, line.hold_until
        if can_wait:
            result.place = pool.waiting + 1
            result.entry_id = self._wait(terms, pool, result.order_id, buyer, placed_by, rest, now)
            result.waiting = rest
        else:
            result.missed = rest
        self._used[of_offer] = used + got + result.waiting
        return result

    def _basket(self, terms: ClaimTerms, buyer: UUID, now: datetime) -> UUID:
        """The buyer's open basket in this sale, found or begun."""
        key = pair(buyer, terms.scope_id)
        basket = self._baskets.get(key)
        if basket is None:
            basket = self._baskets[key] = new_id()
            self._new_orders.append(
                (basket, terms.shop_id, buyer, terms.scope_id, terms.origin_stream, terms.currency, now)
            )
        return basket

    def _snapshot(self, terms: ClaimTerms) -> dict[str, Any]:
        found = self._snapshots.get(id(terms))
        if found is None:
            found = self._snapshots[id(terms)] = terms.snapshot()
            self._kept.append(terms)
        return found

    def _deadline(self, terms: ClaimTerms, now: datetime) -> datetime:
        """When a hold on these terms ends; claims of one batch share the object."""
        found = self._deadlines.get((id(terms), now))
        if found is None:
            self._kept.append(terms)
            found = self._deadlines[id(terms), now] = now + timedelta(seconds=terms.hold_seconds)
        return found

    def _hold(
        self,
        terms: ClaimTerms,
        pool: PoolState,
        order_id: UUID,
        buyer: UUID,
        placed_by: UUID,
        qty: int,
        now: datetime,
        *,
        turn: bool,
    ) -> LineRow:
        line = LineRow(
            (
                new_id(), terms.shop_id, order_id, buyer, terms.offer_id, terms.variant_id, pool.id, qty, 0, 0,
                terms.unit_price_minor, terms.currency, terms.title, "held",
                self._deadline(terms, now), False, turn, False, placed_by, self._snapshot(terms),
                now, None,
            ),
            terms.origin_stream,
            terms.scope_id,
            fresh=True,
        )  # fmt: skip
        self.stock.take(pool, qty, line_id=line.id, actor=placed_by)
        self.lines[line.id] = line
        self._new_lines.append(line)
        order = self.orders.get(order_id) if self.orders else None
        if order is not None:
            order.lines.append(line)
        if not turn:
            # a turn's units were counted when they began to be waited for
            self._count_unpaid(buyer, terms, qty)
        return line

    def _count_unpaid(self, buyer: UUID, terms: ClaimTerms, qty: int) -> None:
        theirs = pair(buyer, terms.shop_id)
        self._unpaid[theirs] = self._unpaid.get(theirs, 0) + qty

    def _wait(
        self,
        terms: ClaimTerms,
        pool: PoolState,
        order_id: UUID,
        buyer: UUID,
        placed_by: UUID,
        qty: int,
        now: datetime,
    ) -> UUID:
        entry = self.stock.waitlist.add(
            (
                new_id(), terms.shop_id, pool.id, terms.offer_id, order_id, buyer, placed_by, qty,
                self.stock.take_rank(pool), "waiting", None, self._snapshot(terms), now, None,
            )
        )  # fmt: skip
        self.stock.count_waiting(pool, 1)
        self._count_unpaid(buyer, terms, qty)
        return entry.id

    # -- time and turns ------------------------------------------------------------------------------------------------

    def lapse_due(self, *pool_ids: UUID) -> None:
        """Holds of these pools whose time is up lapse. ``load`` has done it already; harmless to repeat."""
        for line in list(self.lines.values()):
            if line.pool_id in pool_ids and line.state == "held" and line.hold_until <= self.now:
                self._lapse(line)

    def serve_waitlist(self, *pool_ids: UUID) -> None:
        """Free units go to those who wait, in their order. Happens by itself whenever units become free."""
        for pool_id in pool_ids:
            self._serve(self.stock.pool(pool_id))

    def _serve(self, pool: PoolState) -> None:
        waitlist = self.stock.waitlist
        while pool.waiting and (entry := waitlist.head(pool.id)) is not None:
            if pool.closed_at is not None:
                self._leave(entry, "gone", "waiting.gone")
                continue
            free = pool.free
            if free <= 0:
                return
            terms = self._terms_of(entry)
            qty = min(free, entry.qty)
            line = self._hold(
                terms, pool, entry.order_id, entry.buyer, entry.placed_by, qty, self.now, turn=True
            )
            if waitlist.offered(entry, qty, line.id):
                self.stock.count_waiting(pool, -1)
            self._tell_line("turn.offered", line, qty=qty, hold_until=line.hold_until)

    def _terms_of(self, entry: Entry) -> ClaimTerms:
        """The promised terms; people who wait on the same terms share one object."""
        text = entry.terms
        if isinstance(text, str):
            terms = self._parsed.get(text)
            if terms is None:
                terms = self._parsed[text] = ClaimTerms.from_snapshot(entry.snapshot())
            return terms
        return ClaimTerms.from_snapshot(text)

    def _end(self, line: LineRow, state: str, reason: str, actor: UUID | None) -> int:
        """The hold ends without being paid: its units go back. The one way out, so it can happen only once."""
        units = line.live
        line.state, line.ended_at = state, self.now
        used, held = pair(line.buyer_id, line.offer_id), pair(line.buyer_id, line.shop_id)
        if used in self._used:
            self._used[used] -= units
        if held in self._unpaid:
            self._unpaid[held] -= units
        if line.turn:
            self.stock.waitlist.line_ended(line.id, "passed" if reason == "passed" else "gone")
        self.stock.release(pool_id=line.pool_id, qty=units, line_id=line.id, actor=actor, reason=reason)
        return units

    def _let_go_of(self, line: LineRow) -> None:
        """Who did not come for what was held waits for no more of it, in whatever room.

        With a place in the list they would be offered the same unit again and again, and nobody else would.
        """
        for entry in self.stock.waitlist.places(line.buyer_id, line.pool_id):
            self._leave(entry, "gone", "waiting.gone")

    def _give_back(self, line: LineRow) -> None:
        """Who gives units of an offer back waits for no more of it: the next unit would be the one just given.

        For another offer of the same units they have asked by itself; there they go on waiting.
        """
        for entry in self.stock.waitlist.places(line.buyer_id, line.pool_id):
            if entry.offer_id == line.offer_id:
                self._leave(entry, "passed", "waiting.left")

    def _lapse(self, line: LineRow) -> None:
        if line.state == "held":
            self._let_go_of(line)
            self._tell_line("turn.lapsed" if line.turn else "hold.lapsed", line, qty=line.live)
            self._end(line, "lapsed", "lapsed", None)
            if not line.placed:
                return
            order = self.orders.get(line.order_id)
            if order is None:
                self._ended[line.order_id] = line.origin_stream
            else:
                self._lapse_order(order)

    def _held(self, line_id: UUID, buyer: UUID | None, shop_id: UUID | None) -> LineRow:
        line = self.line(line_id, buyer=buyer, shop_id=shop_id)
        if line.state == "held" and line.hold_until <= self.now:
            self._lapse(line)
        if line.state != "held":
            raise Refused(errors.LINE_ENDED, state=line.state)
        return line

    def pass_turn(self, *, line_id: UUID, buyer: UUID) -> None:
        """The person declines their turn and waits no longer; the next in line is served at once."""
        line = self._held(line_id, buyer, None)
        if not line.turn:
            raise Refused(errors.LINE_NOT_TURN)
        self._tell_line("turn.passed", line, qty=line.live)
        self._drop_line(line, "passed", buyer)

    def leave_waitlist(
        self, *, entry_id: UUID, buyer: UUID | None = None, shop_id: UUID | None = None
    ) -> None:
        """The person waits no longer."""
        if buyer is None and shop_id is None:
            raise TypeError("say who asks: buyer or shop_id")
        entry = self.stock.waitlist.entries.get(entry_id)
        if (
            entry is None
            or entry.state != "waiting"
            or buyer not in (None, entry.buyer)
            or shop_id not in (None, entry.shop_id)
        ):
            raise Refused(errors.WAITING_UNKNOWN)
        self._leave(entry, "passed", "waiting.left")

    def _leave(self, entry: Entry, state: str, kind: str) -> None:
        entry.state, entry.ended_at = state, self.now
        used, unpaid = pair(entry.buyer, entry.offer_id), pair(entry.buyer, entry.shop_id)
        if used in self._used:
            self._used[used] -= entry.qty
        if unpaid in self._unpaid:
            self._unpaid[unpaid] -= entry.qty
        self.stock.count_waiting(self.stock.pool(entry.pool_id), -1)
        terms = self._terms_of(entry)
        self.news.append(
            News(
                kind, entry.buyer, entry.shop_id, terms.origin_stream, entry.order_id, None, entry.offer_id,
                entry.pool_id, {"entry": entry.id, "qty": entry.qty},
            )
        )  # fmt: skip

    def extend(self, *, line_id: UUID, buyer: UUID) -> datetime:
        """Once per hold, the deadline moves by what the terms allow. Returns the new deadline."""
        line = self._held(line_id, buyer, None)
        seconds = line.snapshot.get("extension") or 0
        if line.extended or seconds <= 0:
            raise Refused(errors.LINE_EXTENDED, allowed=seconds)
        line.extended = True
        line.hold_until += timedelta(seconds=seconds)
        self._tell_line("hold.extended", line, hold_until=line.hold_until)
        found: datetime = line.hold_until
        return found

    # -- giving back -----------------------------------------------------------------------------------------------

    def cancel(
        self,
        *,
        line_id: UUID,
        qty: int | None = None,
        buyer: UUID | None = None,
        shop_id: UUID | None = None,
        actor: UUID | None = None,
    ) -> int:
        """Give back some or all units of an unpaid line; who waits for more of the offer waits no longer.

        Returns how many units of the line are left.
        """
        line = self._held(line_id, buyer, shop_id)
        live = line.live
        if qty is not None and (type(qty) is not int or not 1 <= qty <= live):
            raise Refused(errors.LINE_QUANTITY, live=live)
        units = live if qty is None else qty
        self._tell_line("line.cancelled", line, qty=units, left=live - units)
        if units == live:
            self._drop_line(line, "cancelled", actor or buyer)
            return 0
        self._give_back(line)
        line.qty_cancelled += units
        used, held = pair(line.buyer_id, line.offer_id), pair(line.buyer_id, line.shop_id)
        if used in self._used:
            self._used[used] -= units
        if held in self._unpaid:
            self._unpaid[held] -= units
        self._after_cancel(line)
        self.stock.release(
            pool_id=line.pool_id, qty=units, line_id=line.id, actor=actor or buyer, reason="cancelled"
        )
        return live - units

    def _drop_line(self, line: LineRow, reason: str, actor: UUID | None) -> None:
        units = line.live
        self._give_back(line)
        self._end(line, "cancelled", reason, actor)
        line.qty_cancelled += units
        self._after_cancel(line)

    def drop_person(
        self, *, buyer: UUID, shop_id: UUID, scope_id: UUID | None = None, actor: UUID | None = None
    ) -> Dropped:
        """Unpaid holds and waiting places of a banned person go to the next in line.

        Only rows on pools of this batch are touched (see `want_person`): who holds no lock on the heads of all streams
        in which the person may claim finds more in the loaded orders than was there when the pools were locked.
        """
        waitlist, locked = self.stock.waitlist, self.stock.pools
        units, missed = 0, False
        for entry in list(waitlist.entries.values()):
            theirs = entry.buyer == buyer and entry.shop_id == shop_id and entry.state == "waiting"
            if theirs and scope_id in (None, self._terms_of(entry).scope_id):
                if entry.pool_id in locked:
                    self._leave(entry, "gone", "waiting.gone")
                else:
                    missed = True
        for line in list(self.lines.values()):
            theirs = line.buyer_id == buyer and line.shop_id == shop_id and line.state == "held"
            if theirs and scope_id in (None, line.scope_id):
                if line.pool_id in locked:
                    units += line.live
                    self._tell_line("line.cancelled", line, qty=line.live, left=0)
                    self._drop_line(line, "dropped", actor)
                else:
                    missed = True
        return Dropped(units, missed)
