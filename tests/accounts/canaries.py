"""Two people who leave their traces everywhere, with words that nobody else has: where do they turn up again?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client

from chat.log import pump, registry
from chat.log.execute import execute
from commerce.shops.services import add_delivery_option
from livesale.accounts.identity import make_ticket
from livesale.accounts.models import ExternalIdentity, User
from livesale.backoffice.services import open_shop
from livesale.personal.register import TABLES
from livesale.personal.rules import Rule
from tests.rest.world import PASSWORD


def sign_up(word: str) -> tuple[User, Client]:
    """By the pages' own way, with a mail address that holds the word and is confirmed."""
    page = Client()
    body = {"email": f"{word}-mail@example.org", "password": PASSWORD}
    answer = page.post("/_allauth/browser/v1/auth/signup", json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert EmailAddress.objects.filter(email=body["email"]).update(verified=True) == 1
    return User.objects.get(email=body["email"]), page


@dataclass
class Person:
    """Somebody whose every word begins alike: `word`."""

    word: str
    user: User = field(init=False)
    page: Client = field(init=False)
    messages: list[str] = field(default_factory=list)
    orders: list[UUID] = field(default_factory=list)
    alone: UUID = field(init=False)
    shared: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.user, self.page = sign_up(self.word)

    @property
    def id(self) -> UUID:
        return self.user.id

    def said(self, where: str) -> str:
        return f"{self.word}-{where}"


class Place:
    """A shop with two rooms, a buyer called Ada and one called Bob, who do alike."""

    def __init__(self) -> None:
        registry.load()
        self.owner = User.objects.create_user("owner@example.org", PASSWORD, name="Olga")
        self.shop = open_shop(name="Shop", currency="EUR", owner_id=self.owner.id).id
        self.parcel = add_delivery_option(shop_id=self.shop, kind="delivery", label="Parcel", position=1).id
        variants = [
            {"label": "M", "price_minor": 1500, "stock": 50},
            {"label": "L", "price_minor": 900, "stock": 1},
        ]
        made = self.do(self.shop, "product.create", code="12", title="Scarf", variants=variants)
        self.plenty, self.rare = made["variants"]
        self.room = UUID(self.do(self.shop, "room.create", kind="sale", name="Sale")["room"])
        self.other = UUID(self.do(self.shop, "room.create", kind="group", name="Group")["room"])
        self.do(self.room, "sale.schedule", title="Tonight")
        self.offer = self.do(self.room, "offer.add", variant=self.plenty)["offer"]
        self.scarce = self.do(self.room, "offer.add", variant=self.rare, waitlist_cap=9)["offer"]
        self.do(self.room, "sale.start")
        self.do(self.room, "claim.place", offer=self.scarce)
        self.ada, self.bob = Person("ada7canary"), Person("bob7canary")
        self.live(self.ada, self.bob)
        self.live(self.bob, self.ada)

    def do(self, stream: UUID, name: str, actor: UUID | None = None, /, **body: Any) -> dict[str, Any]:
        return execute(stream, name, body, actor_id=actor or self.owner.id).answer

    def live(self, who: Person, other: Person) -> None:
        """What a person leaves behind, by the ways that people have."""
        mine = who.id
        answer = who.page.patch(
            "/api/v1/me/",
            json.dumps({"name": who.said("name"), "language": "de", "show_name_in_summaries": True}),
            content_type="application/json",
        )
        assert answer.status_code == 200, answer.content
        self.talk(who)
        self.shop_around(who)
        self.get_into_trouble(who, other)
        self.own_rooms(who, other)
        make_ticket(mine, origin=f"https://{who.word}.example")
        ExternalIdentity.objects.create(shop_id=self.shop, external_id=who.said("external"), person=who.user)
        LogEntry.objects.create(
            user=self.owner,
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(mine),
            object_repr=who.said("repr"),
            change_message=json.dumps([{"changed": {"fields": [who.said("change")]}}]),
            action_flag=CHANGE,
        )
        pump.pump_until_quiet()

    def talk(self, who: Person) -> None:
        for room in (self.room, self.other):
            self.do(room, "member.join", who.id)
            for n in range(3):
                said = self.do(room, "message.send", who.id, text=who.said(f"text-{n}"))
                who.messages.append(said["message"])
        self.do(self.other, "message.pin", message=who.messages[-1])

    def shop_around(self, who: Person) -> None:
        contact = {name: who.said(name) for name in ("name", "phone", "street", "postcode", "city")} | {
            "email": f"{who.word}-contact@example.org",
            "country": "DE",
        }
        contact["postcode"] = who.word
        # paid and kept, never paid, still a basket, waiting in line
        for offer, then in ((self.offer, "paid"), (self.offer, "open")):
            claim = self.do(self.room, "claim.place", who.id, offer=offer)
            order = UUID(claim["order"])
            who.orders.append(order)
            self.do(
                self.room, "order.deliver", who.id,
                order=str(order), option=str(self.parcel), contact=contact, note=who.said("note"),
            )  # fmt: skip
            if then == "paid":
                self.do(self.room, "order.pay", who.id, order=str(order), gateway="manual", method="cash")
                self.do(self.room, "order.mark_paid", order=str(order))
                self.do(
                    self.room, "order.refund", order=str(order), amount_minor=100, reason=who.said("refund")
                )
        self.do(self.room, "claim.place", who.id, offer=self.scarce)
        self.do(self.shop, "buy", who.id, variant=self.plenty)

    def get_into_trouble(self, who: Person, other: Person) -> None:
        self.do(
            self.room, "message.report", who.id, message=self._somebodys(other), reason=who.said("report")
        )
        self.do(self.room, "member.hide", person=str(who.id), reason=who.said("sanction"))
        self.do(self.room, "member.unban", person=str(who.id), reason=who.said("audit"))
        self.do(self.room, "member.hide", person=str(who.id), reason=who.said("sanction"))

    def _somebodys(self, other: Person) -> str:
        """A message of theirs, or the owner's while they have none."""
        return (
            other.messages[0]
            if other.messages
            else self.do(self.room, "message.send", text="hello")["message"]
        )

    def own_rooms(self, who: Person, other: Person) -> None:
        shop = open_shop(name=f"Of {who.word[0]}", currency="EUR", owner_id=self.owner.id).id
        for name in ("alone", "shared"):
            made = self.do(
                shop,
                "room.create",
                who.id,
                kind="group",
                name=who.said(name)[:60],
                description=who.said("about"),
            )
            setattr(who, name, UUID(made["room"]))
            self.do(UUID(made["room"]), "room.announce", who.id, text=who.said("announcement"))
        code = self.do(who.shared, "invite.create", who.id)["code"]
        self.do(who.shared, "member.join", other.id, code=code)
        self.do(who.shared, "message.send", other.id, text=other.said("visit"))
        other.messages.append("")


def found_in_tables(word: str) -> dict[str, set[str]]:
    """Every column of every table in which a word occurs: {table: {column}}. By SQL, over what is really there."""
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for name, value in zip(names, row, strict=True):
                    if word in str(value):
                        found.setdefault(table, set()).add(name)
    return found


def personal_columns() -> dict[str, set[str]]:
    """What the register calls somebody's own: {table: {column}}."""
    own = {Rule.OWN, Rule.KEPT}
    return {
        t.model._meta.db_table: columns
        for t in TABLES.values()
        if (columns := {t.model._meta.get_field(n).column for n, rule in t.columns.items() if rule in own})
    }


def confirm(page: Client, password: str = PASSWORD) -> int:
    """Give the password once more, as the page does."""
    path = "/_allauth/browser/v1/auth/reauthenticate"
    return page.post(path, json.dumps({"password": password}), content_type="application/json").status_code
