"""A shop's key lets the shop's own users in, and nobody as more than the key."""

from __future__ import annotations

from typing import Any

import pytest

from chat.log import clock
from chat.rooms.models import Membership, Room
from commerce.shops.services import add_staff, create_key, revoke_key
from livesale.accounts.identity import ProjectIdentities
from livesale.accounts.models import ExternalIdentity, User
from tests.rest.world import ShopWorld, client

pytestmark = pytest.mark.database


def ask(world: ShopWorld, key: str, external_id: str = "u-1", name: str = "Ute") -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client().post(
        f"/api/v1/shops/{world.slug}/tickets/",
        {"external_id": external_id, "name": name},
        content_type="application/json",
        headers=headers,
    )


def key_of(world: ShopWorld, ceiling: str = "host") -> str:
    return create_key(shop_id=world.shop, name="site", ceiling=ceiling, now=clock.now())[1]


def appoint(world: ShopWorld, person_id: object, role: str) -> None:
    Membership.objects.create(
        tenant_id=world.shop, room_id=world.room, person_id=person_id, role=role, joined_at=clock.now()
    )


def test_the_shops_users_get_in(world: ShopWorld) -> None:
    key = key_of(world)
    first = ask(world, key)
    assert first.status_code == 201, first.content
    identity = ProjectIdentities().from_ticket(first.json()["ticket"], "")
    assert identity is not None
    assert identity.name == "Ute"
    again = ask(world, key, name="Ute B")
    assert again.json()["person"] == first.json()["person"]
    assert User.objects.get(id=identity.person_id).name == "Ute B"
    assert not User.objects.get(id=identity.person_id).has_usable_password()
    assert ask(world, key, "u-2").json()["person"] != first.json()["person"]


def test_a_key_opens_its_own_shop_only(world: ShopWorld, other: ShopWorld) -> None:
    key = key_of(world)
    for wrong in ("", "nothing", key[:-1], key.upper()):
        assert (ask(world, wrong).status_code, ask(world, wrong).json()["code"]) == (401, "key.invalid")
    assert ask(other, key).status_code == 401
    assert not ExternalIdentity.objects.exists()
    mine, theirs = ask(world, key), ask(other, key_of(other))
    # the same id at two shops is two people
    assert mine.json()["person"] != theirs.json()["person"]


def test_a_revoked_key_ends_what_it_has_opened(world: ShopWorld) -> None:
    key, text = create_key(shop_id=world.shop, name="site", ceiling="host", now=clock.now())
    identities = ProjectIdentities()
    unused = ask(world, text).json()["ticket"]
    by_key = identities.from_ticket(ask(world, text).json()["ticket"], "")
    by_another = identities.from_ticket(ask(world, key_of(world)).json()["ticket"], "")
    assert by_key is not None
    assert by_another is not None
    resume = identities.resume_token(by_key)
    assert identities.still_valid([by_key, by_another]) == {by_key, by_another}
    assert identities.from_resume_tokens([resume]) == [by_key]
    assert revoke_key(shop_id=world.shop, key_id=key.id, now=clock.now())
    assert identities.still_valid([by_key, by_another]) == {by_another}
    assert identities.from_resume_tokens([resume]) == [None]
    assert identities.from_ticket(unused, "") is None


def test_a_revoked_key_opens_nothing(world: ShopWorld) -> None:
    key, text = create_key(shop_id=world.shop, name="site", ceiling="host", now=clock.now())
    assert revoke_key(shop_id=world.shop, key_id=key.id, now=clock.now())
    assert ask(world, text).status_code == 401


def test_a_cookie_is_no_key(world: ShopWorld) -> None:
    answer = client(world.owner).post(
        f"/api/v1/shops/{world.slug}/tickets/",
        {"external_id": "u", "name": "U"},
        content_type="application/json",
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("ceiling", "role", "status"),
    [
        ("packer", "packer", 201),
        ("packer", "host", 403),
        ("host", "host", 201),
        ("host", "manager", 403),
        ("manager", "manager", 201),
    ],
)
def test_nobody_gets_in_as_more_than_the_key(world: ShopWorld, ceiling: str, role: str, status: int) -> None:
    key = key_of(world, ceiling)
    person_id = ask(world, key).json()["person"]
    add_staff(shop_id=world.shop, person=person_id, role=role, now=clock.now())
    answer = ask(world, key)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "key.above_ceiling"


def test_a_key_is_no_way_into_another_shop(world: ShopWorld, other: ShopWorld) -> None:
    key = key_of(world, "owner")
    person_id = ask(world, key).json()["person"]
    add_staff(shop_id=other.shop, person=person_id, role="packer", now=clock.now())
    assert ask(world, key).status_code == 403


@pytest.mark.parametrize(
    ("ceiling", "role", "status"),
    [("packer", "moderator", 201), ("packer", "host", 403), ("host", "host", 201)],
)
@pytest.mark.parametrize(
    ("kind", "is_open"), [("sale", True), ("sale", False), ("group", True), ("group", False)]
)
def test_roles_in_rooms_count_too(
    world: ShopWorld, ceiling: str, role: str, status: int, kind: str, is_open: bool
) -> None:
    """But for a group of one's own, which is closed and lends nothing of the shop."""
    key = key_of(world, ceiling)
    Room.objects.filter(id=world.room).update(kind=kind, open=is_open)
    person_id = ask(world, key).json()["person"]
    appoint(world, person_id, role)
    assert ask(world, key).status_code == (201 if kind == "group" and not is_open else status)


def test_who_becomes_more_than_the_key_is_let_out(world: ShopWorld) -> None:
    key = key_of(world, "packer")
    identities = ProjectIdentities()
    socket, other = (
        identities.from_ticket(ask(world, key, name).json()["ticket"], "") for name in ("u-1", "u-2")
    )
    assert socket is not None
    assert other is not None
    unused, resume = ask(world, key).json()["ticket"], identities.resume_token(socket)
    assert identities.still_valid([socket, other]) == {socket, other}
    assert identities.from_resume_tokens([resume]) == [socket]
    appoint(world, socket.person_id, "host")
    assert identities.still_valid([socket, other]) == {other}
    assert identities.from_resume_tokens([resume, identities.resume_token(other)]) == [None, other]
    assert identities.from_ticket(unused, "") is None


def test_operators_do_not_come_this_way(world: ShopWorld) -> None:
    key = key_of(world, "owner")
    person_id = ask(world, key).json()["person"]
    User.objects.filter(id=person_id).update(is_staff=True)
    assert ask(world, key).status_code == 403
    User.objects.filter(id=person_id).update(is_staff=False, is_active=False)
    assert ask(world, key).json()["code"] == "auth.failed"


def test_guessing_keys_is_slowed_down(world: ShopWorld) -> None:
    statuses = {ask(world, f"ls_guess_{n}").status_code for n in range(70)}
    assert statuses == {401, 429}
