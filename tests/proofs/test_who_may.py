"""Who may do what: every command and every REST route, by everybody, on one's own things and on other people's.

The tables below are the expectation, written by hand. A command or route without a row fails
`test_nothing_is_left_out`; a row that the code does not keep to fails by name. Shops against shops is in
`test_two_shops.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern

from chat.log.batch import SYSTEM
from chat.log.execute import execute
from chat.log.registry import CommandSpec
from commerce.payments.models import Refund
from commerce.shops.models import DeliveryOption, ShopStaff
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.rest.urls import urlpatterns
from tests.proofs.test_two_shops import body_of, matrix, try_it, undone

pytestmark = pytest.mark.django_db

# Everybody who is signed in. `stranger` has never been in the room, `member` has nothing of their own there,
# `moderator` and `room_host` were appointed in the room, `packer`, `manager` and `host` work for the shop.
ROLES = (
    "stranger", "member", "buyer", "moderator", "room_host", "packer", "manager", "host", "owner", "other_owner",
)  # fmt: skip
EVERYBODY = frozenset(ROLES)
NOBODY: frozenset[str] = frozenset()
OWNER = frozenset({"owner"})
BACK_OFFICE = OWNER | {"manager", "host"}
PACKERS = BACK_OFFICE | {"packer"}
ROOM_HOSTS = BACK_OFFICE | {"room_host"}
MODERATORS = ROOM_HOSTS | {"moderator", "packer"}

DENIED = "permission.denied"


@dataclass(frozen=True)
class Row:
    """Who may, and with which code the others are refused."""

    may: frozenset[str]
    refused: str = DENIED
    # what stands in the way of those who may, in the world of this test: a state of things, never a right
    unless: str = ""


@dataclass(frozen=True)
class Things:
    """A command that names a thing of somebody: who may with one's own, and who with another's."""

    own: Row
    others: Row


# A buyer's things: theirs alone. To others they do not even exist.
def only_own(unknown: str, unless: str = "") -> Things:
    return Things(Row(EVERYBODY, unless=unless), Row(NOBODY, unknown))


def either(row: Row) -> Things:
    """It makes no difference whose it is."""
    return Things(row, row)


COMMANDS: dict[str, Row | Things] = {
    "buy": Row(EVERYBODY),
    "claim.cancel": only_own("line.unknown"),
    "claim.extend": only_own("line.unknown"),
    "claim.leave": only_own("waiting.unknown"),
    "claim.pass": only_own("line.unknown", unless="line.not_a_turn"),
    "claim.place": Row(EVERYBODY),
    "claim.place for somebody": Row(ROOM_HOSTS),
    "delivery.add": Row(OWNER),
    "drop.close": Row(ROOM_HOSTS, unless="drop.none"),
    "drop.open": Row(ROOM_HOSTS),
    "invite.create": Row(ROOM_HOSTS),
    "invite.revoke": Row(ROOM_HOSTS, unless="invite.invalid"),
    "member.appoint": Row(OWNER),
    "member.appoint the owner": Row(NOBODY),
    "member.ban": Row(MODERATORS),
    "member.ban everywhere": Row(OWNER),
    "member.ban a moderator": Row(ROOM_HOSTS),
    "member.ban a host": Row(OWNER),
    "member.ban the owner": Row(NOBODY),
    "member.clear": Row(MODERATORS),
    "member.clear the owner": Row(NOBODY),
    "member.hide": Row(MODERATORS),
    "member.hide the owner": Row(NOBODY),
    "member.join": Row(EVERYBODY),
    "member.leave": Row(EVERYBODY - OWNER, "member.owner_stays"),
    "member.timeout": Row(MODERATORS),
    "member.timeout the owner": Row(NOBODY),
    "member.unban": Row(MODERATORS),
    "member.unban everywhere": Row(OWNER),
    "message.delete": Things(Row(EVERYBODY), Row(MODERATORS)),
    "message.pin": either(Row(MODERATORS)),
    "message.report": either(Row(EVERYBODY)),
    "message.send": Row(EVERYBODY),
    "message.settle": either(Row(MODERATORS)),
    "offer.add": Row(ROOM_HOSTS, unless="offer.twice"),
    "offer.feature": Row(ROOM_HOSTS),
    "offer.remove": Row(ROOM_HOSTS),
    "offer.reorder": Row(ROOM_HOSTS),
    "offer.update": Row(ROOM_HOSTS),
    "order.cancel": Things(Row(EVERYBODY), Row(BACK_OFFICE)),
    "order.deliver": only_own("order.unknown"),
    "order.fulfil": either(Row(PACKERS, unless="order.state")),
    "order.mark_paid": either(Row(BACK_OFFICE, unless="delivery.missing")),
    "order.pay": only_own("order.unknown", unless="delivery.missing"),
    "order.refund": either(Row(BACK_OFFICE, unless="order.state")),
    "product.archive": Row(BACK_OFFICE),
    "product.create": Row(BACK_OFFICE),
    "product.update": Row(BACK_OFFICE),
    # the refund is of an order of the room
    "refund.settle": Row(BACK_OFFICE, unless="order.elsewhere"),
    "room.announce": Row(MODERATORS),
    "room.archive": Row(OWNER),
    # without a field it changes nothing
    "room.configure": Row(MODERATORS),
    "room.configure slow_seconds": Row(MODERATORS),
    "room.configure rules": Row(MODERATORS),
    "room.configure locked": Row(MODERATORS),
    "room.configure name": Row(OWNER),
    "room.configure description": Row(OWNER),
    "room.configure open": Row(OWNER),
    "room.create": Row(BACK_OFFICE),
    "sale.configure": Row(ROOM_HOSTS),
    "sale.end": Row(ROOM_HOSTS),
    "sale.pause": Row(ROOM_HOSTS),
    "sale.resume": Row(ROOM_HOSTS),
    "sale.schedule": Row(ROOM_HOSTS, unless="sale.exists"),
    "sale.start": Row(ROOM_HOSTS),
    "say": Row(EVERYBODY),
    "shop.configure": Row(OWNER),
    "staff.add": Row(OWNER, unless="staff.unknown"),
    "staff.remove": Row(OWNER),
    "stock.adjust": Row(BACK_OFFICE),
}

# The commands for which one row is not enough: what their fields are then.
VARIANTS: dict[str, dict[str, Any]] = {
    "claim.place for somebody": {"buyer": "victim"},
    "member.appoint the owner": {"person": "owner", "role": "member"},
    "member.ban everywhere": {"everywhere": True},
    "member.ban a moderator": {"person": "moderator"},
    "member.ban a host": {"person": "host"},
    "member.ban the owner": {"person": "owner"},
    "member.clear the owner": {"person": "owner"},
    "member.hide the owner": {"person": "owner"},
    "member.timeout the owner": {"person": "owner"},
    "member.unban everywhere": {"everywhere": True},
    "room.configure slow_seconds": {"slow_seconds": 5},
    "room.configure rules": {"repeat_seconds": 5, "links": "staff"},
    "room.configure locked": {"locked": True},
    "room.configure name": {"name": "Another"},
    "room.configure description": {"description": "Another"},
    "room.configure open": {"open": False},
}
# Fields by which a command names a thing of one person.
PERSONAL = {"line", "order", "waiting", "message"}
# Fields by which a command names somebody.
PEOPLE = {"person", "buyer"}
# What people who may not read a room hear in it. To leave where one is not does nothing.
NOT_THERE = {"stream.unknown", "line.unknown", "waiting.unknown", "order.unknown", "message.unknown", DENIED}
DOES_NOTHING = {"member.leave"}
# One's own place in a line can be given up wherever one is; it is told where the line is.
FROM_ANYWHERE = {"claim.leave"}


class House:
    """A shop with a sale in an open room, a closed room beside it, and somebody in each role with things of theirs."""

    def __init__(self) -> None:
        # `earlier` has bought, paid and got the money back, which is on its way
        names = (*ROLES, "victim", "earlier")
        self.people = {
            name: User.objects.create_user(f"{name}@house.example", None, name=name) for name in names
        }
        EmailAddress.objects.bulk_create(
            EmailAddress(user=user, email=user.email, verified=True, primary=True)
            for user in self.people.values()
        )
        self.shop = open_shop(name="House", currency="EUR", owner_id=self.people["owner"].id).id
        open_shop(name="Other", currency="EUR", owner_id=self.people["other_owner"].id)
        for role in ("packer", "manager", "host"):
            self.do(self.shop, "staff.add", email=self.people[role].email, role=role)
        made = self.do(
            self.shop,
            "product.create",
            code="c1",
            title="Scarf",
            variants=[
                {"label": "M", "price_minor": 1500, "stock": 500},
                {"label": "L", "price_minor": 900, "stock": 1},
            ],
        )
        self.plenty, self.rare = made["variants"]
        self.room = UUID(self.do(self.shop, "room.create", kind="sale", name="Open")["room"])
        self.closed = UUID(self.do(self.shop, "room.create", kind="sale", name="Closed", open=False)["room"])
        self.do(self.room, "sale.schedule", title="Tonight")
        self.offers = [
            self.do(self.room, "offer.add", variant=variant, waitlist_cap=100)["offer"]
            for variant in made["variants"]
        ]
        self.do(self.room, "sale.start")
        code = self.do(self.closed, "invite.create")["code"]
        self.code = self.do(self.room, "invite.create")["code"]
        for name in names:
            if name not in {"stranger", "other_owner", "owner"}:
                self.do(self.room, "member.join", name)
                self.do(self.closed, "member.join", name, code=code)
        for room in (self.room, self.closed):
            self.do(room, "member.appoint", person=str(self.people["moderator"].id), role="moderator")
            self.do(room, "member.appoint", person=str(self.people["room_host"].id), role="host")
        # the only one of its kind is gone, so that the next ones wait
        self.do(self.room, "claim.place", "victim", offer=self.offers[1])
        self.things = {name: self._buys(name) for name in names if name != "member"}
        self.refund = self._pays_and_gets_back("earlier")
        self.shared = {
            "variant": self.plenty, "product": made["product"], "offer": self.offers[0], "offers": self.offers,
            "option": str(DeliveryOption.objects.get(shop_id=self.shop).id), "person": self.id("victim"),
            "reply_to": self.things["victim"]["room"]["message"], "refund": self.refund,
        }  # fmt: skip

    def id(self, name: str) -> str:
        return str(self.people[name].id)

    def do(self, stream: UUID, name: str, who: str = "owner", /, **body: Any) -> dict[str, Any]:
        return execute(stream, name, body, actor_id=self.people[who].id).answer

    def _buys(self, who: str) -> dict[str, dict[str, str]]:
        claim = self.do(self.room, "claim.place", who, offer=self.offers[0])
        wait = self.do(self.room, "claim.place", who, offer=self.offers[1])["wait"]
        said = self.do(self.room, "message.send", who, text="hello")["message"]
        bought = self.do(self.shop, "buy", who, variant=self.plenty)
        waits = self.do(self.shop, "buy", who, variant=self.rare)["wait"]
        return {
            "room": {"line": claim["line"], "order": claim["order"], "waiting": wait, "message": said},
            "shop": {"line": bought["line"], "order": bought["order"], "waiting": waits},
        }

    def _pays_and_gets_back(self, who: str) -> str:
        order = self.things[who]["room"]["order"]
        option = str(DeliveryOption.objects.get(shop_id=self.shop).id)
        self.do(self.room, "order.deliver", who, order=order, option=option, contact={"name": "Somebody"})
        paying = self.do(self.room, "order.pay", who, order=order)
        body = {"attempt": paying["attempt"], "event_id": "e1", "kind": "succeeded", "currency": "EUR"}
        body["amount_minor"] = paying["amount_minor"]
        execute(self.room, "payment.reported", body, actor_id=SYSTEM)
        self.do(self.room, "order.refund", order=order)
        return str(Refund.objects.get(attempt_id=paying["attempt"]).id)

    def streams(self, spec: CommandSpec) -> list[tuple[str, UUID]]:
        return [(k, s) for k, s in (("room", self.room), ("shop", self.shop)) if k in spec.stream_kinds]

    def body(self, spec: CommandSpec, row: str, kind: str, whose: str) -> dict[str, Any]:
        """A whole body of a command, about the things that `whose` has."""
        ids = self.shared | self.things[whose].get(kind, {})
        changed = {k: self.id(v) if k in PEOPLE else v for k, v in VARIANTS.get(row, {}).items()}
        if spec.name == "claim.place":
            # for oneself, unless the row says for whom
            return {"offer": self.offers[0], "qty": 1, **changed}
        return body_of(spec, ids) | changed


@pytest.fixture
def house(db: None) -> House:
    return House()


def commands() -> dict[str, CommandSpec]:
    return {spec.name: spec for spec in matrix()}


def keeps_to(row: Row, who: str, code: str) -> bool:
    return code in {"", row.unless} if who in row.may else code == row.refused


def test_nothing_is_left_out() -> None:
    """Each command has rows, each row a command; each route and method too."""
    rows = {name.split(" ")[0] for name in COMMANDS}
    assert rows == set(commands()), rows ^ set(commands())
    assert set(VARIANTS) == {name for name in COMMANDS if " " in name}
    for name, spec in commands().items():
        names_things = bool(PERSONAL & {f.name for f in msgspec.structs.fields(spec.body)})
        assert isinstance(COMMANDS[name], Things) == names_things, f"{name}: whose things does it name?"
    assert set(ROUTES) == set(routes()), set(ROUTES) ^ set(routes())


def test_every_command_by_everybody(house: House) -> None:
    wrong: list[str] = []
    tried = 0
    for name, rule in COMMANDS.items():
        spec = commands()[name.split(" ")[0]]
        for kind, stream in house.streams(spec):
            for who in ROLES:
                cases = (
                    [("victim", rule.others), (who, rule.own)]
                    if isinstance(rule, Things)
                    else [("victim", rule)]
                )
                for whose, row in cases:
                    if whose not in house.things:
                        continue
                    with undone():
                        code = try_it(spec, stream, house.body(spec, name, kind, whose), house.people[who])
                    tried += 1
                    if not keeps_to(row, who, code):
                        said = code or "carried out"
                        wrong.append(f"{name} on a {kind} by {who}, things of {whose}: {said}")
    assert not wrong, "\n".join(wrong)
    assert ShopStaff.objects.get(shop_id=house.shop, person_id=house.people["owner"].id).role == "owner"
    print(f"\n{tried} commands by {len(ROLES)} roles, each as the table says")


def test_who_may_not_read_a_room_may_do_nothing_in_it(house: House) -> None:
    for name, spec in commands().items():
        if "room" not in spec.stream_kinds or name in DOES_NOTHING:
            continue
        for who in ("stranger", "other_owner"):
            # their own things too: what they have elsewhere is worth nothing here
            for whose in {"victim"} if name in FROM_ANYWHERE else {"victim", who}:
                with undone():
                    code = try_it(
                        spec, house.closed, house.body(spec, name, "room", whose), house.people[who]
                    )
                assert code in NOT_THERE | {"order.elsewhere"}, (
                    f"{name} by {who} in a closed room: {code or 'done'}"
                )


def test_nobody_acts_without_signing_in(house: House) -> None:
    for name, spec in commands().items():
        for kind, stream in house.streams(spec):
            body = json.dumps(house.body(spec, name, kind, "victim"))
            path = f"/api/v1/streams/{stream}/commands/{name}/"
            answer = Client().post(path, body, content_type="application/json")
            assert (answer.status_code, answer.json()["code"]) == (401, "auth.required"), name


# --- requests -----------------------------------------------------------------------------------------------------

GUEST = "guest"
ANYBODY = EVERYBODY | {GUEST}
# whoever has joined the closed room, and those who work for the shop
INSIDE = EVERYBODY - {"stranger", "other_owner"}

# (method, route): who is answered; for streams and rooms, in (the open room, the closed room, the shop's stream).
ROUTES: dict[tuple[str, str], tuple[frozenset[str], ...]] = {
    ("get", "streams/<uuid:stream>/snapshot/"): (ANYBODY, INSIDE, ANYBODY),
    ("get", "streams/<uuid:stream>/events/"): (ANYBODY, INSIDE, ANYBODY),
    ("get", "streams/<uuid:stream>/messages/"): (ANYBODY, INSIDE, ANYBODY),
    # each of them is tried above
    ("post", "streams/<uuid:stream>/commands/<str:name>/"): (),
    ("get", "me/"): (ANYBODY,),
    ("patch", "me/"): (EVERYBODY,),
    ("get", "me/panel/"): (EVERYBODY,),
    ("post", "me/ticket/"): (EVERYBODY,),
    ("get", "me/export/"): (EVERYBODY,),
    ("get", "me/erasure/"): (EVERYBODY,),
    ("post", "me/erasure/"): (EVERYBODY,),
    ("delete", "me/erasure/"): (EVERYBODY,),
    ("post", "rooms/join/"): (EVERYBODY,),
    ("get", "rooms/<uuid:room>/"): (ANYBODY, INSIDE),
    ("post", "shops/"): (EVERYBODY,),
    ("get", "shops/<str:shop>/"): (ANYBODY,),
    ("get", "shops/<str:shop>/products/"): (ANYBODY,),
    ("post", "shops/<str:shop>/products/<uuid:product>/media/"): (BACK_OFFICE,),
    ("get", "shops/<str:shop>/rooms/"): (ANYBODY,),
    ("get", "shops/<str:shop>/orders/"): (PACKERS,),
    ("get", "shops/<str:shop>/orders/<uuid:order>/"): (PACKERS,),
    ("get", "shops/<str:shop>/orders.csv"): (PACKERS,),
    # by the shop's key alone, see tests/rest/test_keys.py
    ("post", "shops/<str:shop>/tickets/"): (NOBODY,),
    ("get", "schema/"): (ANYBODY,),
    ("get", "docs/"): (ANYBODY,),
}
METHODS = ("get", "post", "put", "patch", "delete")
# Refused for what is sent, after it was asked who sends it.
MISTAKES = {"body.wrong_type", "auth.confirm"}


def routes() -> list[tuple[str, str]]:
    """Every (method, route) below /api/v1/ but the one that says that there is nothing."""
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        route = str(pattern.pattern)
        view = getattr(pattern.callback, "view_class", None)
        if route and view is None:
            found.append(("get", route))
        elif route:
            found += [(method, route) for method in METHODS if hasattr(view, method)]
    return found


def test_every_route_by_everybody(house: House) -> None:
    bodies = {"rooms/join/": {"code": house.code}, "shops/": {"name": "Mine", "currency": "EUR"}}
    wrong: list[str] = []
    tried = 0
    for (method, route), answered in ROUTES.items():
        for stream, may in zip((house.room, house.closed, house.shop), answered, strict=False):
            path = f"/api/v1/{route}"
            for part, value in (
                ("<uuid:stream>", stream), ("<uuid:room>", stream), ("<str:shop>", house.shop),
                ("<uuid:product>", house.shared["product"]),
                ("<uuid:order>", house.things["victim"]["room"]["order"]),
            ):  # fmt: skip
                path = path.replace(part, str(value))
            assert "<" not in path, f"{route} has a part that is not known here"
            for who in (GUEST, *ROLES):
                cache.clear()
                client = Client()
                if who != GUEST:
                    client.force_login(house.people[who], backend="django.contrib.auth.backends.ModelBackend")
                with undone():
                    sent = {} if method == "get" else {"data": json.dumps(bodies.get(route, {}))}
                    options = {} if method == "get" else {"content_type": "application/json"}
                    answer = getattr(client, method)(path, **sent, **options)
                tried += 1
                code = answer.json()["code"] if answer.status_code >= 400 else ""
                if who in may:
                    right = answer.status_code < 300 or code in MISTAKES
                elif who == GUEST:
                    right = answer.status_code in {401, 404}
                else:
                    right = answer.status_code in {401, 403, 404}
                if not right:
                    wrong.append(f"{method} {path} by {who}: {answer.status_code} {code}")
    assert not wrong, "\n".join(wrong)
    print(f"\n{tried} requests, each answered as the table says")
