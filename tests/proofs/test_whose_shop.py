"""What a shop has is sold, and who is in it is judged, by those who work there: a room beside it lends none of that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress

from chat.log import pump
from chat.log.errors import Refused
from chat.moderation.models import Sanction
from chat.rooms.models import Membership, Room
from chat.rooms.permissions import LENT_WHERE_IT_SELLS, NEVER_LENT
from chat.rooms.selectors import roles_in
from commerce.errors import Refused as RefusedByCommerce
from commerce.orders.models import Order
from livesale.accounts.models import User
from livesale.backoffice.commands import OWN_GROUPS
from livesale.rest.shops import rooms_of
from livesale.sales.models import Sale
from tests.proofs.market import Market, drifts, new_people, units

pytestmark = [pytest.mark.database, pytest.mark.django_db]


@pytest.fixture
def market() -> Market:
    return Market.open(people=3, stock=8, waitlist_cap=2)


def group_of(market: Market, person: UUID) -> UUID:
    return UUID(market.do(market.shop, "room.create", person, kind="group", name="Circle")["room"])


def staff(market: Market, role: str) -> UUID:
    """Somebody who works for the market."""
    person = new_people(1, role)[0]
    email = f"{person}@shop.example"
    User.objects.filter(id=person).update(email=email)
    EmailAddress.objects.create(user_id=person, email=email, primary=True, verified=True)
    appoint(market, person, role)
    return person


def appoint(market: Market, person: UUID, role: str) -> None:
    email = User.objects.values_list("email", flat=True).get(id=person)
    market.do(market.shop, "staff.add", email=email, role=role)
    pump.pump_until_quiet()


def refusal(market: Market, stream: UUID, name: str, actor: UUID, /, **body: Any) -> str:
    with pytest.raises((Refused, RefusedByCommerce)) as refused:
        market.do(stream, name, actor, **body)
    return refused.value.code


# --- a group that a customer has opened -----------------------------------------------------------------------


def test_a_customers_group_sells_nothing_of_the_shop(market: Market) -> None:
    stranger, friend = market.people[:2]
    group = group_of(market, stranger)
    for name, body in {
        "sale.schedule": {"title": "Everything for nothing"},
        "sale.start": {},
        "offer.add": {"variant": str(market.variant), "price_minor": 0},
        "drop.open": {"offer": str(market.offers[0]), "allotment": 8, "duration_seconds": 60},
        "claim.place": {"offer": str(market.offers[0]), "buyer": str(friend)},
    }.items():
        assert refusal(market, group, name, stranger, **body) in {"permission.denied", "offer.unknown"}, name
    # nor does whom they appoint
    code = market.do(group, "invite.create", stranger)["code"]
    market.do(group, "member.join", friend, code=code)
    market.do(group, "member.appoint", stranger, person=str(friend), role="host")
    assert refusal(market, group, "sale.schedule", friend, title="For nothing") == "permission.denied"
    assert not Sale.objects.filter(room_id=group).exists()
    assert units(market.pool) == (8, 0, 0)


def test_those_who_work_there_sell_in_a_group_of_the_shop(market: Market) -> None:
    host = staff(market, "host")
    group = group_of(market, host)
    assert Room.objects.get(id=group).open
    market.do(group, "sale.schedule", host, title="For the circle")
    offer = market.do(group, "offer.add", host, variant=str(market.variant), price_minor=100)["offer"]
    market.do(group, "sale.start", host)
    assert market.do(group, "claim.place", market.people[0], offer=offer)["got"] == 1


def test_who_runs_a_group_shuts_nobody_out_of_the_shop(market: Market) -> None:
    stranger, customer = market.people[:2]
    host = staff(market, "host")
    group = group_of(market, stranger)
    for person in (host, market.owner, customer):
        for name in ("member.ban", "member.unban"):
            told = refusal(market, group, name, stranger, person=str(person), everywhere=True)
            assert told == "permission.denied", name
    # the shop's owner is above whoever runs a room of it, and put out of none
    assert refusal(market, group, "member.ban", stranger, person=str(market.owner)) == "permission.denied"
    market.do(group, "member.timeout", person=str(stranger), seconds=60)
    # what happens in the group is theirs
    code = market.do(group, "invite.create", stranger)["code"]
    market.do(group, "member.join", customer, code=code)
    market.do(group, "member.ban", stranger, person=str(customer))
    assert list(Sanction.objects.filter(kind="ban").values_list("room_id", flat=True)) == [group]


def test_a_role_in_a_sale_room_lends_nothing_beyond_the_room(market: Market) -> None:
    """The owner of a sale room is one of the staff who has opened it: the manager, here."""
    manager, other = staff(market, "manager"), staff(market, "manager")
    room = UUID(market.do(market.shop, "room.create", manager, kind="sale", name="Noon")["room"])
    market.do(room, "sale.schedule", manager, title="Noon")
    assert (
        refusal(market, room, "member.ban", manager, person=str(other), everywhere=True)
        == "permission.denied"
    )
    assert market.do(room, "member.ban", person=str(other), everywhere=True) == {}


def test_a_customers_group_is_closed_and_there_are_few_of_them(market: Market) -> None:
    stranger = market.people[0]
    group = group_of(market, stranger)
    assert not Room.objects.get(id=group).open
    asked = {"kind": "group", "name": "For everybody", "open": True}
    assert refusal(market, market.shop, "room.create", stranger, **asked) == "room.staff_opens"
    assert refusal(market, group, "room.configure", stranger, open=True) == "permission.denied"
    assert market.do(group, "room.configure", stranger, name="Our circle") == {}
    for _ in range(OWN_GROUPS - 1):
        group_of(market, stranger)
    assert refusal(market, market.shop, "room.create", stranger, kind="group", name="11") == "room.too_many"
    # they push no room of the shop's off anybody's list
    assert [r["name"] for r in rooms_of(market.shop, market.people[1])] == ["Room 0"]
    assert len(rooms_of(market.shop, stranger)) == OWN_GROUPS + 1
    market.do(group, "room.archive", stranger)
    group_of(market, stranger)


def test_who_was_shut_out_opens_nothing(market: Market) -> None:
    stranger = market.people[0]
    market.do(market.rooms[0], "member.ban", person=str(stranger), everywhere=True)
    assert refusal(market, market.shop, "room.create", stranger, kind="group", name="Us") == "member.banned"


def test_every_permission_that_is_lent_or_not_is_one_that_somebody_has() -> None:
    from chat.rooms.permissions import PERMISSIONS

    assert PERMISSIONS["owner"] >= LENT_WHERE_IT_SELLS | NEVER_LENT


# --- who does not work there any more ---------------------------------------------------------------------------


@pytest.mark.parametrize("then", [None, "packer"])
def test_who_works_there_no_longer_runs_nothing_any_more(market: Market, then: str | None) -> None:
    manager = staff(market, "manager")
    opened = UUID(market.do(market.shop, "room.create", manager, kind="sale", name="Noon")["room"])
    market.do(opened, "sale.schedule", manager, title="Noon")
    market.do(market.rooms[0], "member.appoint", person=str(manager), role="host")
    if then is None:
        market.do(market.shop, "staff.remove", person=str(manager))
        pump.pump_until_quiet()
    else:
        appoint(market, manager, then)
    for room in (opened, market.rooms[0]):
        for name, body in {
            "offer.add": {"variant": str(market.variant), "price_minor": 0},
            "sale.end": {},
            "member.appoint": {"person": str(market.people[0]), "role": "host"},
        }.items():
            assert refusal(market, room, name, manager, **body) == "permission.denied", name
    assert Room.objects.get(id=opened).owner_id == market.owner
    role = "member" if then is None else "moderator"
    assert set(Membership.objects.filter(person_id=manager).values_list("role", flat=True)) == {role}
    market.do(opened, "sale.start")


def test_a_closed_group_stays_with_whoever_has_it(market: Market) -> None:
    """A customer becomes a packer, and is none after a while: the circle that was theirs before is theirs."""
    person = market.people[0]
    group = group_of(market, person)
    EmailAddress.objects.create(user_id=person, email="p@shop.example", primary=True, verified=True)
    market.do(market.shop, "staff.add", email="p@shop.example", role="packer")
    pump.pump_until_quiet()
    market.do(market.shop, "staff.remove", person=str(person))
    pump.pump_until_quiet()
    assert Room.objects.get(id=group).owner_id == person
    market.do(group, "room.configure", person, name="Still our circle")


def test_who_gets_another_role_in_which_they_run_rooms_keeps_them(market: Market) -> None:
    manager = staff(market, "manager")
    opened = UUID(market.do(market.shop, "room.create", manager, kind="sale", name="Noon")["room"])
    appoint(market, manager, "host")
    assert Room.objects.get(id=opened).owner_id == manager
    market.do(opened, "room.configure", manager, name="Afternoon")


def test_who_was_a_packer_in_between_runs_their_rooms_again(market: Market) -> None:
    host = staff(market, "manager")
    opened = UUID(market.do(market.shop, "room.create", host, kind="sale", name="Noon")["room"])
    appoint(market, host, "packer")
    appoint(market, host, "host")
    assert roles_in([opened, market.rooms[0]], host) == {opened: "host", market.rooms[0]: "host"}
    market.do(opened, "sale.schedule", host, title="Noon")
    market.do(market.rooms[0], "sale.end", host)


# --- who was shut out -------------------------------------------------------------------------------------------


def test_who_was_shut_out_keeps_nothing_of_the_storefront_either(market: Market) -> None:
    person, after = market.people[:2]
    bought = market.do(market.shop, "buy", person, variant=str(market.variant), qty=8)
    waiting = market.do(market.rooms[0], "claim.place", after, offer=str(market.offers[0]))
    assert (bought["got"], waiting["got"], waiting["waiting"]) == (8, 0, 1)
    market.do(market.rooms[0], "member.ban", person=str(person), everywhere=True)
    pump.pump_until_quiet()
    assert Order.objects.get(id=bought["order"]).total_minor == 0
    assert refusal(market, market.shop, "claim.extend", person, line=bought["line"]) == "line.not_held"
    # the unit goes to the next in line
    assert units(market.pool) == (8, 1, 0)
    assert drifts() == []
