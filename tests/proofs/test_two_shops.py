"""Two shops in one installation: every command and every read, by people of the one against everything of the other.

Bodies are made from the registered types, so a new command is in the matrix by itself. A field that is not known here
fails the test by name: add a sample to `SAMPLES` or to `Shop.ids`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern

from chat.log import clock
from chat.log.batch import SYSTEM
from chat.log.execute import execute
from chat.log.models import Event, Stream
from chat.log.pump import pump_until_quiet
from chat.log.registry import COMMANDS, CommandSpec
from commerce.orders.models import Line
from commerce.payments.models import Attempt, Refund
from commerce.shops.models import DeliveryOption
from commerce.stock.models import Waiting
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.rest.urls import urlpatterns
from tests.proofs.market import drifts

pytestmark = [pytest.mark.database, pytest.mark.django_db]

# What is open to everyone who is signed in: a storefront, and groups of one's own beside it.
OPEN_TO_ALL = {"buy"}
# Leaving where one is not is carried out by doing nothing; only its receipt is kept.
DOES_NOTHING = {"member.leave"}
# Whom a field names is no secret of a shop: people are the installation's.
PEOPLE = {"person", "buyer"}

SAMPLES: dict[str, Any] = {
    "qty": 1, "label": "Van", "allotment": 1, "duration_seconds": 60, "role": "host", "seconds": 60, "text": "a word",
    "title": "A title", "code": "no-such-code", "delta": 1, "email": "", "state": "packed", "name": "A name",
    "variants": [{"price_minor": 100, "stock": 1}], "contact": {"name": "Somebody"}, "outcome": "again",
}  # fmt: skip


class Shop:
    """A shop with a sale in a closed room, and something of everything that a command can name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner, self.buyer, self.next = (
            User.objects.create_user(
                f"{role}@{name.lower()}.example", "a long one 7", name=f"{role} of {name}"
            )
            for role in ("owner", "buyer", "next")
        )
        self.shop = open_shop(name=name, currency="EUR", owner_id=self.owner.id).id
        made = self.do(
            self.shop,
            "product.create",
            code=f"code-{name}",
            title=f"Scarf of {name}",
            variants=[{"label": "M", "price_minor": 1500, "stock": 5}, {"label": "L", "price_minor": 900}],
        )
        self.room = UUID(
            self.do(self.shop, "room.create", kind="sale", name=f"Closed of {name}", open=False)["room"]
        )
        self.do(self.room, "sale.schedule", title=f"Evening of {name}")
        offer = self.do(self.room, "offer.add", variant=made["variants"][0])["offer"]
        self.do(self.room, "sale.start")
        code = self.do(self.room, "invite.create")["code"]
        for person in (self.buyer, self.next):
            self.do(self.room, "member.join", person, code=code)
        message = self.do(self.room, "message.send", self.buyer, text=f"secret of {name}")["message"]
        claim = self.do(self.room, "claim.place", self.buyer, offer=offer, qty=5)
        waiting = self.do(self.room, "claim.place", self.next, offer=offer)["wait"]
        option = str(DeliveryOption.objects.get(shop_id=self.shop).id)
        contact = {"name": f"Address of {name}"}
        self.do(self.room, "order.deliver", self.buyer, order=claim["order"], option=option, contact=contact)
        self.do(self.room, "order.pay", self.buyer, order=claim["order"])
        # money that does not fit: it has to go back
        attempt = Attempt.objects.get(order_id=claim["order"])
        body = {"attempt": str(attempt.id), "event_id": name, "kind": "succeeded", "amount_minor": 1}
        execute(self.room, "payment.reported", {**body, "currency": "EUR"}, actor_id=SYSTEM)
        self.do(self.room, "order.pay", self.buyer, order=claim["order"])
        pump_until_quiet()
        self.ids: dict[str, Any] = {
            "variant": made["variants"][0], "product": made["product"], "offer": offer, "offers": [offer],
            "message": message, "reply_to": message, "line": claim["line"], "order": claim["order"],
            "refund": str(Refund.objects.get(attempt=attempt).id),
            "waiting": waiting, "option": option, "person": str(self.buyer.id), "buyer": str(self.buyer.id),
        }  # fmt: skip

    def do(self, stream: UUID, name: str, actor: User | None = None, /, **body: Any) -> dict[str, Any]:
        return execute(stream, name, body, actor_id=(actor or self.owner).id).answer

    @property
    def people(self) -> list[User]:
        return [self.owner, self.buyer]

    def streams(self, spec: CommandSpec) -> list[UUID]:
        return [
            stream for kind, stream in (("room", self.room), ("shop", self.shop)) if kind in spec.stream_kinds
        ]

    @property
    def secrets(self) -> list[str]:
        """What nobody from outside may ever read."""
        waiting = [str(w) for w in Waiting.objects.filter(shop_id=self.shop).values_list("id", flat=True)]
        lines = [str(i) for i in Line.objects.filter(shop_id=self.shop).values_list("id", flat=True)]
        attempts = [str(a) for a in Attempt.objects.filter(shop_id=self.shop).values_list("id", flat=True)]
        names = [
            f"secret of {self.name}",
            f"Address of {self.name}",
            f"Closed of {self.name}",
            f"Evening of {self.name}",
        ]
        people = [str(p.id) for p in (self.buyer, self.next)]
        people += [p.email for p in (self.owner, self.buyer, self.next)]
        return [
            *names,
            *people,
            str(self.room),
            self.ids["order"],
            self.ids["message"],
            *waiting,
            *lines,
            *attempts,
        ]


@pytest.fixture
def anna(db: None) -> Shop:
    return Shop("Anna")


@pytest.fixture
def berta(db: None) -> Shop:
    return Shop("Berta")


def body_of(spec: CommandSpec, ids: dict[str, Any]) -> dict[str, Any]:
    """A whole body of a command: ids of a shop wherever it names something, samples elsewhere."""
    body = {}
    for field in msgspec.structs.fields(spec.body):
        if field.name in ids:
            body[field.name] = ids[field.name]
        elif _names_rows(field.type):
            body[field.name] = _of_rows(spec, field, ids)
        elif field.required:
            body[field.name] = _sample(spec, field)
    return body


def _names_rows(kind: Any) -> bool:
    """Whether ids are anywhere in this type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any(_names_rows(f.type) for f in msgspec.structs.fields(kind))
    return kind is UUID or any(_names_rows(inner) for inner in get_args(kind))


def _of_rows(spec: CommandSpec, field: Any, ids: dict[str, Any]) -> Any:
    known = {
        ("order.refund", "lines"): lambda: [{"line": ids["line"], "qty": 1}],
        ("product.update", "prices"): lambda: {ids["variant"]: 1},
    }
    try:
        return known[spec.name, field.name]()
    except KeyError:
        raise AssertionError(f"{spec.name}.{field.name} names rows: say here which ones") from None


def _sample(spec: CommandSpec, field: Any) -> Any:
    choices = get_args(field.type) if get_origin(field.type) is not None else ()
    if field.name == "kind" and choices:
        return choices[-1]
    if field.name in SAMPLES:
        return SAMPLES[field.name]
    raise AssertionError(f"{spec.name}.{field.name} is new: give it a sample")


def try_it(spec: CommandSpec, stream: UUID, body: dict[str, Any], actor: User) -> str:
    """The code of the refusal, or ''."""
    try:
        execute(stream, spec.name, body, actor_id=actor.id)
    except Exception as refusal:
        code = getattr(refusal, "code", None)
        if code is None:
            raise
        assert code not in {"command.invalid", "server.error"}, (
            spec.name,
            body,
            getattr(refusal, "params", ""),
        )
        return str(code)
    return ""


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def all_rows() -> dict[str, str]:
    """A digest of every table."""
    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = sorted(map(repr, cursor.fetchall()))
            found[table] = hashlib.sha256("".join(rows).encode()).hexdigest()
    return found


def rows_of(shop: Shop) -> dict[str, Any]:
    """Everything in the tables that belongs to one shop, and its logs."""
    found: dict[str, Any] = {}
    for model in apps.get_models():
        names = {f.attname for f in model._meta.concrete_fields}
        column = next((c for c in ("shop_id", "tenant_id") if c in names), None)
        if column is not None:
            rows = model._default_manager.filter(**{column: shop.shop}).values_list()
            found[model.__name__] = sorted(map(repr, rows))
    streams = Stream.objects.filter(tenant_id=shop.shop).values("id")
    found["Event"] = list(
        Event.objects.filter(stream_id__in=streams).order_by("stream_id", "seq").values_list()
    )
    return found


def matrix() -> list[CommandSpec]:
    # a subject of other tests may be registered in this process too: it belongs to no shop
    ours = [
        spec for _, spec in sorted(COMMANDS.items()) if not type(spec.handler).__module__.startswith("tests.")
    ]
    return [spec for spec in ours if not spec.system]


def test_nobody_acts_in_the_other_shop(anna: Shop, berta: Shop) -> None:
    """People of Anna's, in the streams of Berta's, with the ids of Berta's rows: refused, and no row is other."""
    tried = 0
    for spec in matrix():
        body = body_of(spec, berta.ids)
        for stream in berta.streams(spec):
            for actor in anna.people:
                if spec.name in OPEN_TO_ALL:
                    continue
                before = all_rows()
                with undone():
                    code = try_it(spec, stream, body, actor)
                    after = all_rows()
                if spec.name in DOES_NOTHING:
                    after["receipt"] = before["receipt"]
                else:
                    assert code, f"{spec.name} of {actor} was carried out in the other shop"
                assert after == before, f"{spec.name} was refused ({code}) and changed something"
                tried += 1
    print(f"\n{tried} commands in the other shop's streams, none carried out")


def test_nobody_reaches_the_other_shops_rows_from_home(anna: Shop, berta: Shop) -> None:
    """The same people in their own streams, where they may do much, naming rows of Berta's."""
    tried = 0
    for spec in matrix():
        fields = {f.name for f in msgspec.structs.fields(spec.body) if _names_rows(f.type)} - PEOPLE
        for name in sorted(fields):
            # one foreign id among own ones
            body = body_of(spec, anna.ids)
            body[name] = body_of(spec, berta.ids)[name]
            for stream in anna.streams(spec):
                for actor in anna.people:
                    before = rows_of(berta)
                    with undone():
                        code = try_it(spec, stream, body, actor)
                        # a reply to a message that is not of this room is a message without a reply
                        assert code or name == "reply_to", f"{spec.name} took {name} of the other shop"
                        assert rows_of(berta) == before, f"{spec.name} with {name} changed the other shop"
                        if name == "reply_to":
                            last = (
                                Event.objects.filter(stream_id=stream, kind="message.sent")
                                .order_by("-seq")
                                .first()
                            )
                            assert last is not None
                            assert last.body["reply_to"] is None
                    tried += 1
    print(f"\n{tried} foreign ids named at home, none taken")


def test_the_matrix_is_not_refused_for_its_shape(berta: Shop) -> None:
    """The control: the very same bodies, by those whose rows they are: refused for the state of things at most."""
    about_right = {"permission.denied", "stream.unknown", "offer.unknown", "order.unknown", "line.unknown"}
    about_right |= {
        "waiting.unknown",
        "message.unknown",
        "product.unknown",
        "person.unknown",
        "order.elsewhere",
    }
    for spec in matrix():
        body = body_of(spec, berta.ids)
        codes = set()
        for stream in berta.streams(spec):
            for actor in (berta.owner, berta.buyer, berta.next):
                with undone():
                    codes.add(try_it(spec, stream, body, actor))
        assert codes - about_right, f"{spec.name} is refused to everybody: {codes}"


# --- reads --------------------------------------------------------------------------------------------------------


def addresses(shop: Shop) -> list[str]:
    """Every address of the REST interface that answers GET, filled with one shop's ids."""
    found = []
    for pattern in urlpatterns:
        view = getattr(pattern.callback, "view_class", None) if isinstance(pattern, URLPattern) else None
        if view is None or not hasattr(view, "get"):
            continue
        route = str(pattern.pattern)
        for stream in (shop.room, shop.shop) if "<uuid:stream>" in route else (None,):
            path = route
            for name, value in (
                ("<uuid:stream>", stream), ("<uuid:room>", shop.room), ("<str:shop>", shop.shop),
                ("<uuid:product>", shop.ids["product"]), ("<uuid:order>", shop.ids["order"]),
            ):  # fmt: skip
                path = path.replace(name, str(value))
            assert "<" not in path, f"{route} has a part that is not known here"
            found.append(f"/api/v1/{path}")
    return found


def read(address: str, person: User | None) -> tuple[int, str]:
    client = Client()
    if person is not None:
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    response = client.get(address)
    body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    return response.status_code, body.decode()


def test_nobody_reads_what_is_the_other_shops(anna: Shop, berta: Shop) -> None:
    found = addresses(berta)
    assert len(found) >= 10
    secrets = berta.secrets
    read_by_owner = 0
    for address in found:
        for person in (anna.owner, anna.buyer, None):
            status, text = read(address, person)
            assert status in {200, 401, 403, 404}, (address, status, text[:200])
            told = [secret for secret in secrets if secret in text]
            assert not told, f"{address} tells {person} {told}"
        status, text = read(address, berta.owner)
        read_by_owner += status == 200 and any(secret in text for secret in secrets)
    # the control: those same addresses tell the owner of the shop
    assert read_by_owner >= 6
    print(
        f"\n{len(found)} addresses, {len(secrets)} secrets, none told; {read_by_owner} of them tell the owner"
    )


def test_and_all_of_it_still_adds_up(anna: Shop, berta: Shop) -> None:
    with clock.frozen():
        assert drifts() == []
