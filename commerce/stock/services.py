# ruff: noqa: S608 - column lists and conditions are constants of this package, values are parameters
"""The only writer of pools, movements and waiting entries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID
from weakref import WeakMethod

from commerce.errors import Refused
from commerce.ids import new_id
from commerce.sql import Insert, any_of, ask, fetch, lock_rows, update_rows
from commerce.stock.models import Movement, Pool
from commerce.stock.waitlist import WaitList

_POOL = (
    "id", "shop_id", "variant_id", "parent_id", "label", "stock", "held", "sold", "waiting", "next_rank", "version",
    "closed_at",
)  # fmt: skip
_MOVEMENT = (
    "id",
    "shop_id",
    "pool_id",
    "kind",
    "d_stock",
    "d_held",
    "d_sold",
    "line_id",
    "actor_id",
    "reason",
    "at",
)

BEFORE = datetime.min.replace(tzinfo=UTC)
"""The clock of a book that has not been loaded."""

PARENTS_REMEMBERED = 50_000
_parents: dict[UUID, UUID | None] = {}


class PoolState:
    """A pool as the batch sees it now. Only the book changes it."""

    __slots__ = (
        "closed_at", "fresh", "held", "id", "label", "next_rank", "parent_id", "shop_id", "sold", "stock", "variant_id",
        "version", "waiting", "was_version",
    )  # fmt: skip

    def __init__(self, row: tuple[Any, ...], fresh: bool = False) -> None:
        (
            self.id, self.shop_id, self.variant_id, self.parent_id, self.label, self.stock, self.held, self.sold,
            self.waiting, self.next_rank, self.version, self.closed_at,
        ) = row  # fmt: skip
        self.was_version: int = self.version
        self.fresh = fresh

    @property
    def free(self) -> int:
        free: int = self.stock - self.held - self.sold
        return free


@dataclass(frozen=True, slots=True)
class PoolCount:
    """A pool's counters after a batch; of two counts the one with the higher version is the newer."""

    id: UUID
    shop_id: UUID
    variant_id: UUID
    version: int
    free: int
    held: int
    sold: int
    stock: int
    waiting: int
    closed: bool


class StockBook:
    """The pools of a batch: lock once, decide often, write once.

    Decisions take units as positive integers and raise `Refused` (``stock.unknown``, ``stock.closed``,
    ``stock.too_few``) before they change anything. Each one leaves a line in the movement ledger.
    """

    rank: int = 20
    guards: ClassVar[tuple[str, ...]] = ("version",)
    """Columns that must be as they were read when a pool is written."""

    def __init__(self) -> None:
        self.pools: dict[UUID, PoolState] = {}
        self.waitlist = WaitList()
        self.may_free: set[UUID] = set()
        self.now: datetime = BEFORE
        self._wanted: set[UUID] = set()
        self._resolved = False
        self._resolvers: list[Callable[[], None]] = []
        self._moves: list[tuple[Any, ...]] = []
        self._on_free: WeakMethod[Callable[[PoolState], None]] | None = None

    # -- which pools -----------------------------------------------------------------------------------------------

    def want(self, *pool_ids: UUID, may_free: bool = True) -> None:
        """These pools, and their parents, will be decided about.

        ``may_free=False`` promises that nothing in this batch gives units of them back, so that waiting people need
        not be read while there is nothing for them.
        """
        self._wanted.update(pool_ids)
        if may_free:
            self.may_free.update(pool_ids)

    def want_through(self, resolver: Callable[[], None]) -> None:
        """``resolver`` calls `want` once, with one set-based read, just before the locks."""
        self._resolvers.append(resolver)

    def when_freed(self, serve: Callable[[PoolState], None]) -> None:
        """Who hands free units to those who wait; called after each decision that frees units of an open pool."""
        # the books know each other: what is freed with a batch must not be a circle
        self._on_free = WeakMethod(serve)

    def _resolve(self) -> None:
        while self._resolvers:
            self._resolvers.pop(0)()
        if self._wanted and not self._resolved:
            self.want(*_parents_of(self._wanted))
            self._resolved = True

    # -- the three phases ------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        self._resolve()
        if self._wanted:
            lock_rows(Pool, self._wanted)
        return bool(self._wanted)

    def load(self, now: datetime) -> Iterator[None]:
        self._resolve()
        self.now = now
        if self._wanted:
            condition, param = any_of("id", self._wanted)
            pools = ask(
                f"SELECT {', '.join(_POOL)} FROM commerce_pool WHERE {condition}", [param], "uuuusiiiiiit"
            )
            yield
            self.pools = {row[0]: PoolState(row) for row in pools()}

    @property
    def wanted(self) -> set[UUID]:
        """The pools, and their parents, that are locked and read; complete when they are locked."""
        return self._wanted

    def write(self, now: datetime, insert: Insert) -> None:
        fresh = [pool for pool in self.pools.values() if pool.fresh]
        if fresh:
            insert(Pool, _POOL, [tuple(getattr(pool, name) for name in _POOL) for pool in fresh])
        sets = ("stock", "held", "sold", "waiting", "next_rank", "version", "closed_at")
        update_rows(
            Pool,
            sets,
            self.guards,
            [
                (pool.id, *(getattr(pool, name) for name in sets), *[pool.was_version] * len(self.guards))
                for pool in self.pools.values()
                if pool.version != pool.was_version and not pool.fresh
            ],
        )
        if self._moves:
            insert(Movement, _MOVEMENT, [(*move, now) for move in self._moves])
        self.waitlist.write(now, insert)

    # -- answers ---------------------------------------------------------------------------------------------------

    def pool(self, pool_id: UUID, shop_id: UUID | None = None) -> PoolState:
        """The pool, which must be of that shop when one is given."""
        pool = self.pools.get(pool_id)
        if pool is None or (shop_id is not None and pool.shop_id != shop_id):
            raise Refused("stock.unknown")
        return pool

    def changed(self) -> list[PoolCount]:
        """The pools that this batch has changed, as they will be after the commit."""
        return [
            PoolCount(
                id=pool.id, shop_id=pool.shop_id, variant_id=pool.variant_id, version=pool.version, free=pool.free,
                held=pool.held, sold=pool.sold, stock=pool.stock, waiting=pool.waiting,
                closed=pool.closed_at is not None,
            )
            for pool in self.pools.values()
            if pool.version != pool.was_version or pool.fresh
        ]  # fmt: skip

    # -- decisions about what is there -------------------------------------------------------------------------------

    def receive(self, *, pool_id: UUID, qty: int, actor: UUID | None = None, reason: str = "") -> None:
        """More units have come in."""
        pool = self._open(pool_id)
        _positive(qty)
        self._move(pool, "receive", d_stock=qty, actor=actor, reason=reason)
        self._freed(pool)

    def adjust(self, *, pool_id: UUID, delta: int, actor: UUID | None = None, reason: str = "") -> None:
        """The count was wrong by ``delta``. Held and sold units cannot be counted away."""
        pool = self._open(pool_id)
        if type(delta) is not int or delta == 0:
            raise Refused("stock.bad_quantity")
        if pool.free + delta < 0:
            raise Refused("stock.too_few", free=pool.free)
        self._move(pool, "adjust", d_stock=delta, actor=actor, reason=reason)
        self._freed(pool)

    def transfer(
        self, *, source_id: UUID, target_id: UUID, qty: int, actor: UUID | None = None, reason: str = ""
    ) -> None:
        """Free units change pools of the same variant."""
        source, target = self._open(source_id), self._open(target_id)
        _positive(qty)
        if source is target or (source.shop_id, source.variant_id) != (target.shop_id, target.variant_id):
            raise Refused("stock.other_variant")
        if source.free < qty:
            raise Refused("stock.too_few", free=source.free)
        self._transfer(source, target, qty, actor, reason)
        self._freed(target)

    def open(
        self,
        *,
        parent_id: UUID,
        units: int,
        label: str = "",
        actor: UUID | None = None,
        pool_id: UUID | None = None,
    ) -> UUID:
        """A new pool with ``units`` of the parent's free units: the allotment of a drop. Returns its id."""
        parent = self._open(parent_id)
        if type(units) is not int or units < 0:
            raise Refused("stock.bad_quantity")
        if parent.parent_id is not None:
            raise Refused("stock.nested")
        if parent.free < units:
            raise Refused("stock.too_few", free=parent.free)
        child = PoolState(
            (
                pool_id or new_id(),
                parent.shop_id,
                parent.variant_id,
                parent.id,
                label,
                0,
                0,
                0,
                0,
                1,
                0,
                None,
            ),
            fresh=True,
        )
        self.pools[child.id] = child
        if units:
            self._transfer(parent, child, units, actor, "drop.open")
        return child.id

    def close(self, *, pool_id: UUID, actor: UUID | None = None) -> None:
        """No more claims. A drop's free units, and any that come back later, go to its parent. Twice is once."""
        pool = self.pool(pool_id)
        if pool.closed_at is not None:
            return
        pool.closed_at = self.now
        self._touch(pool)
        self._freed(pool, actor)

    # -- decisions about whose it is ---------------------------------------------------------------------------------

    def hold(
        self, *, pool_id: UUID, qty: int, line_id: UUID, actor: UUID | None = None, reason: str = ""
    ) -> None:
        """Set free units aside for a line."""
        pool = self._open(pool_id)
        _positive(qty)
        self.take(pool, qty, line_id=line_id, actor=actor, reason=reason)

    def take(
        self, pool: PoolState, qty: int, *, line_id: UUID, actor: UUID | None = None, reason: str = ""
    ) -> None:
        """The same for whoever has the open pool at hand and knows that ``qty`` is above zero."""
        free = pool.stock - pool.held - pool.sold
        if free < qty:
            raise Refused("stock.too_few", free=free)
        if pool.version == pool.was_version:
            pool.version += 1
        pool.held += qty
        self._moves.append((new_id(), pool.shop_id, pool.id, "hold", 0, qty, 0, line_id, actor, reason))

    def release(
        self, *, pool_id: UUID, qty: int, line_id: UUID, actor: UUID | None = None, reason: str = ""
    ) -> None:
        """Held units become free again."""
        pool = self.pool(pool_id)
        _positive(qty)
        if pool.held < qty:
            raise Refused("stock.too_few", held=pool.held)
        self._move(pool, "release", d_held=-qty, line_id=line_id, actor=actor, reason=reason)
        self._freed(pool)

    def sell(
        self, *, pool_id: UUID, qty: int, line_id: UUID, actor: UUID | None = None, reason: str = ""
    ) -> None:
        """Held units are sold."""
        pool = self.pool(pool_id)
        _positive(qty)
        if pool.held < qty:
            raise Refused("stock.too_few", held=pool.held)
        self._move(pool, "sell", d_held=-qty, d_sold=qty, line_id=line_id, actor=actor, reason=reason)

    def unsell(
        self,
        *,
        pool_id: UUID,
        qty: int,
        line_id: UUID,
        restock: bool = True,
        actor: UUID | None = None,
        reason: str = "",
    ) -> None:
        """Sold units come back: free again, or written off where ``restock`` is false."""
        pool = self.pool(pool_id)
        _positive(qty)
        if pool.sold < qty:
            raise Refused("stock.too_few", sold=pool.sold)
        d_stock = 0 if restock else -qty
        self._move(pool, "unsell", d_stock=d_stock, d_sold=-qty, line_id=line_id, actor=actor, reason=reason)
        if restock:
            self._freed(pool)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _open(self, pool_id: UUID) -> PoolState:
        pool = self.pool(pool_id)
        if pool.closed_at is not None:
            raise Refused("stock.closed")
        return pool

    def _touch(self, pool: PoolState) -> None:
        if pool.version == pool.was_version:
            pool.version += 1

    def count_waiting(self, pool: PoolState, people: int) -> None:
        """``people`` more (or fewer) wait on the pool."""
        self._touch(pool)
        pool.waiting += people

    def take_rank(self, pool: PoolState) -> int:
        """The place of the next person in the list."""
        self._touch(pool)
        rank: int = pool.next_rank
        pool.next_rank = rank + 1
        return rank

    def _move(
        self,
        pool: PoolState,
        kind: str,
        *,
        d_stock: int = 0,
        d_held: int = 0,
        d_sold: int = 0,
        line_id: UUID | None = None,
        actor: UUID | None = None,
        reason: str = "",
    ) -> None:
        if pool.version == pool.was_version:
            pool.version += 1
        pool.stock += d_stock
        pool.held += d_held
        pool.sold += d_sold
        self._moves.append(
            (new_id(), pool.shop_id, pool.id, kind, d_stock, d_held, d_sold, line_id, actor, reason)
        )

    def _transfer(
        self, source: PoolState, target: PoolState, qty: int, actor: UUID | None, reason: str
    ) -> None:
        self._move(source, "transfer", d_stock=-qty, actor=actor, reason=reason)
        self._move(target, "transfer", d_stock=qty, actor=actor, reason=reason)

    def _freed(self, pool: PoolState, actor: UUID | None = None) -> None:
        if pool.closed_at is not None and pool.parent_id is not None:
            free, parent = pool.free, self.pool(pool.parent_id)
            if free:
                self._transfer(pool, parent, free, actor, "drop.close")
            self._serve(parent)
        self._serve(pool)

    def _serve(self, pool: PoolState) -> None:
        serve = self._on_free() if self._on_free is not None else None
        if serve is not None:
            serve(pool)


def _parents_of(pool_ids: Collection[UUID]) -> list[UUID]:
    """The parents that these pools have. A parent is given when a pool is made and never changes: it is remembered."""
    unknown = [pool_id for pool_id in pool_ids if pool_id not in _parents]
    if unknown:
        if len(_parents) > PARENTS_REMEMBERED:
            _parents.clear()
            unknown = list(pool_ids)
        condition, param = any_of("id", unknown)
        rows = fetch(f"SELECT id, parent_id FROM commerce_pool WHERE {condition}", [param], "uu")
        _parents.update(dict(rows))
    parents = [_parents.get(pool_id) for pool_id in pool_ids]
    return [parent_id for parent_id in parents if parent_id is not None]


def _positive(qty: int) -> None:
    if type(qty) is not int or qty < 1:
        raise Refused("stock.bad_quantity")
