"""Who works for a shop is named by an address: only whoever has shown that it is theirs."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from chat.log.errors import Refused
from commerce.shops.models import ShopStaff
from livesale.accounts.models import User
from tests.rest.world import PASSWORD, ShopWorld

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
