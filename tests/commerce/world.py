"""A small shop to try decisions on, and a driver that runs a batch as the log's executor does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from uuid_utils.compat import uuid7

from commerce.catalogue.services import NewVariant, create_product
from commerce.models import Line, Movement, Order, Pool
from commerce.orders.services import OrderBook
from commerce.orders.types import ClaimResult, ClaimTerms
from commerce.parts import run
from commerce.shops.services import create_shop
from commerce.stock.services import StockBook

START = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)


class Batch:
    """The two books of one transaction: call ``want`` methods, then `decide`."""

    def __init__(self, stock: StockBook | None = None) -> None:
        self.stock = stock or StockBook()
        self.book = OrderBook(self.stock)

    def decide(self, now: datetime, decision: Callable[[], Any]) -> Any:
        return run(self.stock, self.book, now=now, decide=decision)


@dataclass
class World:
    """One shop, one sale, one product with one pool."""

    shop_id: UUID
    variant_id: UUID
    pool_id: UUID
    owner: UUID
    currency: str = "EUR"
    now: datetime = START
    scope_id: UUID = field(default_factory=uuid7)
    stream: UUID = field(default_factory=uuid7)
    offer_id: UUID = field(default_factory=uuid7)
    last: Batch = field(default_factory=Batch)
    ended: set[UUID] = field(default_factory=set)

    @classmethod
    def create(cls, units: int = 10, price: int = 1500, currency: str = "EUR") -> World:
        owner = get_user_model().objects.create(name="Owner").id
        shop = create_shop(name="Shop", slug=f"shop-{uuid7().hex}", currency=currency, owner=owner, now=START)
        product = create_product(
            shop_id=shop.id,
            code="12",
            title="Scarf",
            variants=[NewVariant(price_minor=price, units=units)],
            now=START,
        )
        variant = product.variants.get()
        world = cls(shop.id, variant.id, variant.pools.get().id, owner, currency)
        world.price = price
        return world

    price: int = 1500

    def terms(self, **changes: Any) -> ClaimTerms:
        terms = ClaimTerms(
            shop_id=self.shop_id,
            scope_id=self.scope_id,
            origin_stream=self.stream,
            offer_id=self.offer_id,
            pool_id=self.pool_id,
            variant_id=self.variant_id,
            title="Scarf",
            unit_price_minor=self.price,
            currency=self.currency,
            hold_seconds=600,
            waitlist_cap=100,
            extension_seconds=300,
        )
        return replace(terms, **changes)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def batch(self) -> Batch:
        self.ended |= self.last.book.ended_orders().keys()
        self.last = Batch()
        return self.last

    def follow_up(self) -> list[str]:
        """What the log promises for orders that lost a hold while nobody had locked them; the kinds of its news."""
        told: list[str] = []
        self.batch()
        while self.ended:
            order_id = self.ended.pop()
            batch = self.batch()
            batch.book.want_order(order_id)
            batch.decide(self.now, partial(batch.book.lapse_order, order_id=order_id))
            told += self.told()
            self.batch()
        return told

    # one command per transaction, for tests that are not about batches

    def claim(self, buyer: UUID, qty: int = 1, terms: ClaimTerms | None = None) -> ClaimResult:
        terms = terms or self.terms()
        batch = self.batch()
        want_claim(batch.book, terms, buyer)
        return batch.decide(
            self.now,
            lambda: batch.book.claim(terms=terms, buyer=buyer, placed_by=buyer, qty=qty, now=self.now),
        )

    def on_lines(self, *line_ids: UUID) -> Batch:
        batch = self.batch()
        batch.book.want_lines(*line_ids)
        return batch

    def cancel(self, line_id: UUID, buyer: UUID, qty: int | None = None) -> int:
        batch = self.on_lines(line_id)
        return batch.decide(self.now, lambda: batch.book.cancel(line_id=line_id, buyer=buyer, qty=qty))

    def checkout(self, order_id: UUID, buyer: UUID) -> Any:
        batch = self.batch()
        batch.book.want_checkout(order_id)
        return batch.decide(self.now, lambda: batch.book.checkout(order_id=order_id, buyer=buyer))

    def begin(
        self,
        order_id: UUID,
        buyer: UUID,
        gateway: str = "sandbox",
        window: timedelta = timedelta(minutes=30),
        **more: Any,
    ) -> Any:
        batch = self.batch()
        batch.book.want_order(order_id)
        return batch.decide(
            self.now,
            lambda: batch.book.begin_payment(
                order_id=order_id,
                gateway=gateway,
                buyer=buyer,
                deadline=self.now + window,
                **more,
            ),
        )

    def pay(self, attempt_id: UUID, amount: int, event_id: str = "evt-1", currency: str | None = None) -> Any:
        batch = self.batch()
        batch.book.want_payment(attempt_id)
        return batch.decide(
            self.now,
            lambda: batch.book.payment_succeeded(
                attempt_id=attempt_id,
                amount_minor=amount,
                currency=currency or self.currency,
                event_id=event_id,
                now=self.now,
            ),
        )

    def refund(self, order_id: UUID, **how: Any) -> Any:
        batch = self.batch()
        batch.book.want_order(order_id)
        return batch.decide(
            self.now,
            lambda: batch.book.refund(order_id=order_id, shop_id=self.shop_id, actor=self.owner, **how),
        )

    def sweep(self) -> Batch:
        batch = self.batch()
        batch.book.want_pool_holds(self.pool_id)
        batch.decide(self.now, lambda: None)
        return batch

    def paid(self, buyer: UUID, qty: int = 1) -> tuple[ClaimResult, Any]:
        """Claim, checkout, begin and pay."""
        got = self.claim(buyer, qty)
        self.checkout(got.order_id, buyer)
        begun = self.begin(got.order_id, buyer)
        self.pay(begun.attempt_id, begun.amount_minor, event_id=f"evt-{begun.attempt_id}")
        return got, begun

    # what the tables say

    def pool(self, pool_id: UUID | None = None) -> Pool:
        return Pool.objects.get(id=pool_id or self.pool_id)

    def counts(self, pool_id: UUID | None = None) -> tuple[int, int, int, int]:
        """free, held, sold, waiting"""
        pool = self.pool(pool_id)
        return pool.free, pool.held, pool.sold, pool.waiting

    def line(self, line_id: UUID | None) -> Line:
        return Line.objects.get(id=line_id)

    def order(self, order_id: UUID) -> Order:
        return Order.objects.get(id=order_id)

    def moves(self, kind: str) -> int:
        return Movement.objects.filter(pool_id=self.pool_id, kind=kind).count()

    def told(self) -> list[str]:
        """Kinds of the news of the last batch."""
        return [news.kind for news in self.last.book.news]


def want_claim(book: OrderBook, terms: ClaimTerms, buyer: UUID) -> None:
    book.want_claim(
        buyer=buyer,
        shop_id=terms.shop_id,
        scope_id=terms.scope_id,
        offer_id=terms.offer_id,
        pool_id=terms.pool_id,
    )


def person() -> UUID:
    """A buyer: hot tables name people without a database constraint, so an id is enough."""
    return uuid7()
