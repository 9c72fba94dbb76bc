"""Two shops with all that a shop has, made by the commands that people would use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.test import Client

from chat.log import registry
from chat.log.execute import execute
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop

PASSWORD = "a long enough one 7"


def person(name: str) -> User:
    return User.objects.create_user(f"{name.lower()}@example.org", PASSWORD, name=name)


def client(user: User | None = None, **options: Any) -> Client:
    made = Client(**options)
    if user is not None:
        made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


@dataclass
class ShopWorld:
    name: str
    owner: User = field(init=False)
    buyer: User = field(init=False)
    shop: UUID = field(init=False)
    slug: str = field(init=False)
    room: UUID = field(init=False)
    closed: UUID = field(init=False)
    product: UUID = field(init=False)
    variant: UUID = field(init=False)
    offer: UUID = field(init=False)
    order: UUID = field(init=False)

    def __post_init__(self) -> None:
        registry.load()
        self.owner = person(f"{self.name}-owner")
        self.buyer = person(f"{self.name}-buyer")
        shop = open_shop(name=self.name, currency="EUR", owner_id=self.owner.id)
        self.shop, self.slug = shop.id, shop.slug
        made = self.do(
            self.shop,
            "product.create",
            code="12",
            title=f"Scarf of {self.name}",
            variants=[{"price_minor": 1500, "stock": 10}],
        )
        self.product, self.variant = UUID(made["product"]), UUID(made["variants"][0])
        self.room = UUID(self.do(self.shop, "room.create", kind="sale", name=f"Room of {self.name}")["room"])
        closed = self.do(self.shop, "room.create", kind="group", name=f"Closed of {self.name}", open=False)
        self.closed = UUID(closed["room"])
        self.do(self.room, "sale.schedule", title="Tonight")
        self.offer = UUID(self.do(self.room, "offer.add", variant=str(self.variant))["offer"])
        self.do(self.room, "sale.start")
        self.do(self.room, "offer.feature", offer=str(self.offer))
        claim = self.do(self.room, "claim.place", self.buyer, offer=str(self.offer), qty=1)
        self.order = UUID(claim["order"])
        self.do(self.closed, "message.send", text=f"secret of {self.name}")

    def do(self, stream: UUID, name: str, actor: User | None = None, /, **body: Any) -> dict[str, Any]:
        return execute(stream, name, body, actor_id=(actor or self.owner).id).answer
