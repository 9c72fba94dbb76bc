"""Who works for a shop is named by an address: only whoever has shown that it is theirs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from chat.log.errors import Refused
from chat.log.execute import execute
from commerce.shops.models import ShopStaff
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.backoffice.tries import CROWDED, LIMIT, WITHIN, Tries
from tests.rest.world import PASSWORD, ShopWorld, client

pytestmark = [pytest.mark.database, pytest.mark.django_db]

BASE = "/_allauth/browser/v1/"
ADDRESS = "anna@shop.example"


@pytest.fixture
def world() -> ShopWorld:
    return ShopWorld("Anna")


def sign_up(email: str = ADDRESS) -> Client:
    page = Client()
    answer = ask(page, "post", "auth/signup", {"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    return page


def ask(page: Client, method: str, path: str, body: Any = None) -> Any:
    return getattr(page, method)(BASE + path, json.dumps(body or {}), content_type="application/json")


def link_in(text: str) -> str:
    """The key in the link of a mail."""
    found = re.search(r"/account/verify/([^\s/]+)", text)
    assert found is not None, text
    return unquote(found[1])


def test_an_address_counts_when_it_is_confirmed(world: ShopWorld) -> None:
    page = sign_up()
    # anybody can sign up with it: whose mail it is, is not known
    with pytest.raises(Refused, match=r"^staff\.unknown$"):
        world.do(world.shop, "staff.add", email=ADDRESS, role="manager")
    assert not ShopStaff.objects.filter(role="manager").exists()
    assert ask(page, "post", "auth/email/verify", {"key": link_in(mail.outbox[0].body)}).status_code == 200
    person = User.objects.get(email=ADDRESS)
    answer = world.do(world.shop, "staff.add", email=" Anna@Shop.EXAMPLE ", role="manager")
    assert answer == {"person": str(person.id)}
    assert ShopStaff.objects.get(role="manager").person_id == person.id


def test_who_has_confirmed_it_is_meant_and_not_who_only_says_so(world: ShopWorld) -> None:
    sign_up()
    owner_of_it = User.objects.get(email=world.buyer.email)
    EmailAddress.objects.create(user=owner_of_it, email=ADDRESS, verified=True)
    answer = world.do(world.shop, "staff.add", email=ADDRESS, role="host")
    assert answer == {"person": str(owner_of_it.id)}


def test_whose_account_has_ended_is_nobody(world: ShopWorld) -> None:
    EmailAddress.objects.create(user=world.buyer, email=world.buyer.email, verified=True)
    User.objects.filter(id=world.buyer.id).update(is_active=False)
    with pytest.raises(Refused, match=r"^staff\.unknown$"):
        world.do(world.shop, "staff.add", email=world.buyer.email, role="host")


def test_people_see_that_an_address_is_not_confirmed_and_get_the_mail_again() -> None:
    page = sign_up()
    told = page.get(f"{BASE}account/email").json()["data"]
    assert told == [{"email": ADDRESS, "verified": False, "primary": True}]
    # a mail has just gone out: the next one has to wait
    assert ask(page, "put", "account/email", {"email": ADDRESS}).status_code == 403
    assert len(mail.outbox) == 1
    cache.clear()
    assert ask(page, "put", "account/email", {"email": ADDRESS}).status_code == 200
    assert ask(page, "post", "auth/email/verify", {"key": link_in(mail.outbox[1].body)}).status_code == 200
    assert page.get(f"{BASE}account/email").json()["data"][0]["verified"]


# --- how often ----------------------------------------------------------------------------------------------------


def test_nobody_asks_for_one_address_after_the_other(world: ShopWorld) -> None:
    EmailAddress.objects.create(user=world.buyer, email=world.buyer.email, verified=True)
    world.do(world.shop, "staff.add", email=world.buyer.email, role="host")
    second = open_shop(name="Second", currency="EUR", owner_id=world.owner.id).id
    for n in range(LIMIT - 1):
        with pytest.raises(Refused, match=r"^staff\.unknown$"):
            # another shop of theirs is no other count
            world.do((world.shop, second)[n % 2], "staff.add", email=f"guess{n}@shop.example", role="host")
    page = client(world.owner)
    body = json.dumps({"email": world.buyer.email, "role": "host"})
    for shop in (world.shop, second):
        path = f"/api/v1/streams/{shop}/commands/staff.add/"
        answer = page.post(path, body, content_type="application/json")
        said = answer.json()
        assert (answer.status_code, said["code"], said["temporary"]) == (429, "staff.too_many_tries", True)
        assert said["params"] == {"limit": LIMIT, "minutes": 60}
        assert 0 < said["retry_after"] <= 3_600
    # others go on
    other = ShopWorld("Berta")
    other.do(other.shop, "staff.add", email=world.buyer.email, role="host")


def test_who_may_not_appoint_uses_up_nothing(world: ShopWorld) -> None:
    for _ in range(LIMIT + 1):
        with pytest.raises(Refused, match=r"^permission\.denied$"):
            execute(world.shop, "staff.add", {"email": ADDRESS, "role": "host"}, actor_id=world.buyer.id)


def test_tries_come_back_an_hour_after_each() -> None:
    tries, who, now = Tries(), UUID(int=1), datetime(2026, 5, 1, 12, tzinfo=UTC)
    for n in range(LIMIT):
        tries.take(who, now + timedelta(minutes=n))
    with pytest.raises(Refused) as refused:
        tries.take(who, now + timedelta(minutes=59, seconds=30))
    assert (refused.value.retry_after, refused.value.params["minutes"]) == (30.0, 1)
    tries.take(who, now + WITHIN)
    with pytest.raises(Refused):
        tries.take(who, now + WITHIN)


def test_people_whose_hour_is_over_are_forgotten() -> None:
    tries, now = Tries(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    for n in range(CROWDED):
        tries.take(UUID(int=n), now)
    tries.take(UUID(int=CROWDED), now + WITHIN)
    assert len(tries._tried) == 1
