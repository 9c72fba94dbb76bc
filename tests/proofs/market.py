"""A shop with rooms and many people, made by the commands people would use; and what must hold of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import F, Sum
from uuid_utils.compat import uuid7

from chat.log.execute import execute
from commerce.stock.models import Pool
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.management.commands.verify import SUBJECTS
from livesale.sales.models import Offer


def new_people(count: int, prefix: str = "Buyer") -> list[UUID]:
    """People without passwords, made in bulk."""
    people = [User(id=uuid7(), name=f"{prefix} {i}", password="!") for i in range(count)]
    User.objects.bulk_create(people, batch_size=2_000)
    return [p.id for p in people]


@dataclass
class Market:
    """One shop, one product, one pool of units; sold in every room and in the storefront (the shop's own stream)."""

    owner: UUID
    shop: UUID
    variant: UUID
    pool: UUID
    rooms: list[UUID] = field(default_factory=list)
    # offers[i] is what rooms[i] sells
    offers: list[UUID] = field(default_factory=list)
    people: list[UUID] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        *,
        name: str = "Market",
        rooms: int = 1,
        people: int = 10,
        stock: int = 100,
        limit: int | None = None,
        waitlist_cap: int = 0,
        hold_seconds: int | None = None,
        max_unpaid_units: int = 9_999,
    ) -> Market:
        owner = new_people(1, f"{name} owner")[0]
        shop = open_shop(name=name, currency="EUR", owner_id=owner).id
        made = execute(
            shop,
            "product.create",
            {"code": "12", "title": "Scarf", "variants": [{"price_minor": 1990, "stock": stock}]},
            actor_id=owner,
        ).answer
        variant = UUID(made["variants"][0])
        market = cls(owner, shop, variant, Pool.objects.get(variant_id=variant).id)
        offer: dict[str, Any] = {"variant": str(variant), "limit": limit, "waitlist_cap": waitlist_cap}
        if hold_seconds is not None:
            offer["hold_seconds"] = hold_seconds
        for i in range(rooms):
            room = UUID(market.do(shop, "room.create", kind="sale", name=f"Room {i}")["room"])
            market.do(room, "sale.schedule", title="Tonight")
            market.do(room, "sale.configure", max_unpaid_units=max_unpaid_units)
            market.offers.append(UUID(market.do(room, "offer.add", **offer)["offer"]))
            market.do(room, "sale.start")
            market.do(room, "offer.feature", offer=str(market.offers[-1]))
            market.rooms.append(room)
        market.people = new_people(people)
        return market

    def do(self, stream: UUID, name: str, actor: UUID | None = None, /, **body: Any) -> dict[str, Any]:
        """Carry out a command, as the owner unless somebody else is named."""
        return execute(stream, name, body, actor_id=actor or self.owner).answer

    def hold_for(self, seconds: int) -> None:
        """Holds last this long from now on; shorter than a person could ask for, which is for tests only."""
        Offer.objects.filter(id__in=self.offers).update(hold_seconds=seconds)


def units(pool_id: UUID) -> tuple[int, int, int]:
    """(stock, held, sold) as the pool says."""
    return Pool.objects.values_list("stock", "held", "sold").get(id=pool_id)


def units_in_lines(pool_id: UUID) -> dict[str, int]:
    """Units per state, counted from the lines that people have."""
    from commerce.orders.models import Line

    live = F("qty") - F("qty_cancelled") - F("qty_refunded")
    rows = Line.objects.filter(pool_id=pool_id).values("state").annotate(units=Sum(live)).order_by()
    return {row["state"]: row["units"] for row in rows}


def drifts(subjects: Iterable[str] = SUBJECTS) -> list[Any]:
    """Everything that `manage.py verify` finds."""
    return [drift for subject in subjects for drift in SUBJECTS[subject]()]
