"""Sign-up, sign-in and sign-out as pages do them, and what ends with them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.core import mail, signing
from django.test import Client

from chat.log.errors import Refused
from livesale.accounts import adapter, services, sockets
from livesale.accounts.identity import ProjectIdentities, make_ticket
from livesale.accounts.models import Ticket, User
from livesale.serving import server
from tests.rest.world import PASSWORD, ShopWorld, client, person

pytestmark = [pytest.mark.database, pytest.mark.django_db]

BASE = "/_allauth/browser/v1/"


def call(made: Client, method: str, path: str, body: Any = None, *, token: bool = True) -> Any:
    if token and "csrftoken" not in made.cookies:
        made.get(f"{BASE}config")
    headers = {"X-CSRFToken": made.cookies["csrftoken"].value} if token else {}
    return getattr(made, method)(
        BASE + path, json.dumps(body or {}), content_type="application/json", headers=headers
    )


@pytest.fixture
def page() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def revoked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Whose sockets were told to be judged anew."""
    found: list[UUID] = []
    for module in (adapter, services):
        monkeypatch.setattr(module, "judge_anew", found.append)
    return found


def test_signing_up_signs_in_and_gives_a_name(page: Client) -> None:
    answer = call(page, "post", "auth/signup", {"email": "eve@example.org", "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    assert answer.json()["meta"]["is_authenticated"]
    assert User.objects.get(email="eve@example.org").name == "eve"
    assert page.get("/api/v1/me/").json()["name"] == "eve"
    assert page.get("/api/v1/me/").json()["email"] == "eve@example.org"


def test_mails_lead_to_pages_of_this_site(page: Client, settings: Any) -> None:
    call(page, "post", "auth/signup", {"email": "eve@example.org", "password": PASSWORD})
    assert "http://testserver/account/verify/" in mail.outbox[0].body
    call(page, "post", "auth/password/request", {"email": "eve@example.org"})
    assert "http://testserver/account/password/reset/" in mail.outbox[1].body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "auth/login"),
        ("post", "auth/signup"),
        ("delete", "auth/session"),
        ("post", "auth/password/request"),
    ],
)
def test_no_csrf_token_no_sign_in(page: Client, method: str, path: str) -> None:
    person("Eve")
    body = {"email": "eve@example.org", "password": PASSWORD}
    answer = call(page, method, path, body, token=False)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf.failed")


def test_sign_in_and_out(page: Client, revoked: list[UUID]) -> None:
    eve = person("Eve")
    answer = call(page, "post", "auth/login", {"email": "Eve@Example.org", "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    assert answer.json()["data"]["user"]["email"] == "eve@example.org"
    identities = ProjectIdentities()
    identity = identities.from_sessions([page.cookies["sessionid"].value])[0]
    assert identity is not None
    resume = identities.resume_token(identity)
    assert identities.still_valid([identity]) == {identity}
    assert call(page, "delete", "auth/session").status_code == 401  # allauth's way to say: signed out
    assert revoked == [eve.id]
    assert not Session.objects.exists()
    assert identities.still_valid([identity]) == set()
    assert identities.from_resume_tokens([resume]) == [None]
    assert page.get("/api/v1/me/").json()["person"] is None


def test_signing_out_ends_what_a_ticket_of_that_session_has_opened(page: Client) -> None:
    eve = person("Eve")
    call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    elsewhere = client(eve)
    identities = ProjectIdentities()

    def ticket(browser: Client) -> str:
        token = {"X-CSRFToken": browser.cookies["csrftoken"].value} if "csrftoken" in browser.cookies else {}
        answer = browser.post("/api/v1/me/ticket/", headers=token)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["ticket"])

    mine, other = (identities.from_ticket(ticket(browser), "") for browser in (page, elsewhere))
    unused = ticket(page)
    assert mine is not None
    assert other is not None
    resume = identities.resume_token(mine)
    assert identities.from_resume_tokens([resume]) == [mine]
    assert call(page, "delete", "auth/session").status_code == 401
    assert identities.still_valid([mine, other]) == {other}
    assert identities.from_resume_tokens([resume, identities.resume_token(other)]) == [None, other]
    assert identities.from_ticket(unused, "") is None


def test_a_ticket_is_worth_no_more_than_the_session_that_asked_for_it(page: Client) -> None:
    eve = person("Eve")
    key = client(eve).cookies["sessionid"].value
    identities = ProjectIdentities()
    services.end_everywhere(eve.id)
    # asked for while the session still stood, written after it had ended
    assert identities.from_ticket(make_ticket(eve.id, session=key), "") is None
    assert (
        identities.from_ticket(make_ticket(person("Bob").id, session=client(eve).session.session_key), "")
        is None
    )


def test_a_resume_token_does_not_tell_the_sessions_key() -> None:
    key = client(person("Eve")).cookies["sessionid"].value
    identities = ProjectIdentities()
    identity = identities.from_sessions([key])[0]
    assert identity is not None
    first, second = identities.resume_token(identity), identities.resume_token(identity)
    for token in (first, second):
        assert key not in json.dumps(signing.loads(token, salt="livesale.resume"))
    # nor whether two tokens are of one session
    assert signing.loads(first, salt="livesale.resume")[2] != signing.loads(second, salt="livesale.resume")[2]
    assert identities.from_resume_tokens([first, second]) == [identity, identity]


def test_a_new_password_ends_what_was_opened_with_the_old_one(page: Client, revoked: list[UUID]) -> None:
    eve = person("Eve")
    elsewhere = client(eve)
    identities = ProjectIdentities()
    before = identities.from_sessions([elsewhere.cookies["sessionid"].value])[0]
    assert before is not None
    make_ticket(eve.id)
    call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    answer = call(
        page,
        "post",
        "account/password/change",
        {"current_password": PASSWORD, "new_password": "another long one 8"},
    )
    assert answer.status_code == 200, answer.content
    assert revoked == [eve.id]
    assert identities.still_valid([before]) == set()
    assert not Ticket.objects.exists()
    assert elsewhere.get("/api/v1/me/").json()["person"] is None
    assert page.get("/api/v1/me/").json()["person"] == str(eve.id)


def test_signing_out_everywhere_ends_every_session(revoked: list[UUID]) -> None:
    eve = person("Eve")
    made, another = client(eve), client(eve)
    key = made.cookies["sessionid"].value
    identities = ProjectIdentities()
    identity = identities.from_sessions([key])[0]
    assert identity is not None
    resume, ticket = identities.resume_token(identity), make_ticket(eve.id)
    services.end_everywhere(eve.id)
    assert revoked == [eve.id]
    # by cookie, by ticket, by resume token: nothing of before opens a socket or answers a request
    assert identities.from_sessions([key]) == [None]
    assert identities.from_resume_tokens([resume]) == [None]
    assert identities.from_ticket(ticket, "") is None
    assert identities.still_valid([identity]) == set()
    for browser in (made, another):
        assert browser.get("/api/v1/me/").json()["person"] is None
    eve.refresh_from_db()
    assert client(eve).get("/api/v1/me/").json()["person"] == str(eve.id)


def test_operators_sign_people_out_everywhere(revoked: list[UUID]) -> None:
    boss = User.objects.create_superuser("boss@example.org", PASSWORD, name="Boss")
    eve = person("Eve")
    desk, hers = client(boss), client(eve)

    def sign_out(*who: User) -> int:
        body = {"action": "sign_out", "_selected_action": [str(w.id) for w in who]}
        return desk.post("/admin/accounts/user/", body).status_code

    assert sign_out(eve) == 302
    assert hers.get("/api/v1/me/").json()["person"] is None
    assert desk.get("/api/v1/me/").json()["person"] == str(boss.id)
    # on all devices means on this one too
    assert sign_out(boss) == 302
    assert desk.get("/api/v1/me/").json()["person"] is None


def test_a_password_hashed_anew_at_sign_in_does_not_end_that_sign_in(page: Client, settings: Any) -> None:
    newest = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
    oldest = "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher"
    settings.PASSWORD_HASHERS = [oldest]
    eve = person("Eve")
    settings.PASSWORD_HASHERS = [newest, oldest]
    answer = call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    assert User.objects.get(id=eve.id).password != eve.password
    assert page.get("/api/v1/me/").json()["person"] == str(eve.id)
    assert ProjectIdentities().from_sessions([page.cookies["sessionid"].value])[0] is not None


def test_a_replaced_secret_key_ends_no_session(settings: Any) -> None:
    eve = person("Eve")
    made = client(eve)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one, as long as it has to be: 0123456789"
    assert made.get("/api/v1/me/").json()["person"] == str(eve.id)


def test_deactivation_ends_everything(revoked: list[UUID]) -> None:
    eve = person("Eve")
    made = client(eve)
    identities = ProjectIdentities()
    identity = identities.from_sessions([made.cookies["sessionid"].value])[0]
    assert identity is not None
    resume, ticket = identities.resume_token(identity), make_ticket(eve.id)
    services.deactivate(eve.id)
    assert revoked == [eve.id]
    assert identities.still_valid([identity]) == set()
    assert identities.from_ticket(ticket, "") is None
    assert made.get("/api/v1/me/").json()["person"] is None
    User.objects.filter(id=eve.id).update(is_active=True)
    assert identities.from_resume_tokens([resume]) == [None]  # what was ended stays ended


def test_whose_account_has_ended_does_nothing_more_and_gets_nothing(revoked: list[UUID]) -> None:
    world = ShopWorld("Anna")
    services.deactivate(world.buyer.id)
    with pytest.raises(Refused, match=r"auth\.failed"):
        # on its way when the account ended, before the socket heard of it
        world.do(world.room, "message.send", world.buyer, text="too late")
    with pytest.raises(Refused, match=r"person\.unknown"):
        world.do(world.room, "claim.place", offer=world.offer, qty=1, buyer=world.buyer.id)
    with pytest.raises(Refused, match=r"person\.unknown"):
        world.do(world.room, "member.appoint", person=world.buyer.id, role="moderator")
    # what they wrote can still be cleared away
    world.do(world.room, "member.clear", person=world.buyer.id)


def test_guessing_passwords_is_slowed_down(page: Client) -> None:
    person("Eve")
    answers = [
        call(page, "post", "auth/login", {"email": "eve@example.org", "password": f"wrong {n}"})
        for n in range(12)
    ]
    assert answers[0].status_code == 400
    right = call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    assert right.status_code in {400, 429}
    assert not right.json().get("meta", {}).get("is_authenticated", False)


def test_a_forged_address_does_not_evade_the_limit(page: Client) -> None:
    person("Eve")
    page.get(f"{BASE}config")
    for n in range(31):
        page.post(
            f"{BASE}auth/login",
            json.dumps({"email": f"nobody{n}@example.org", "password": "wrong"}),
            content_type="application/json",
            headers={"X-CSRFToken": page.cookies["csrftoken"].value, "X-Forwarded-For": f"10.0.0.{n}"},
        )
    last = call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    assert last.status_code in {400, 429}


def test_proxies_are_believed_as_far_as_they_are_ours(rf: Any, settings: Any) -> None:
    from livesale.accounts.address import client_address

    request = rf.get("/", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}, REMOTE_ADDR="10.9.9.9")
    settings.TRUSTED_PROXIES = 0
    assert client_address(request) == "10.9.9.9"
    settings.TRUSTED_PROXIES = 1
    assert client_address(request) == "10.0.0.1"
    settings.TRUSTED_PROXIES = 3
    assert client_address(request) == "10.9.9.9"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(page: Client) -> None:
    person("Eve")
    call(page, "post", "auth/login", {"email": "eve@example.org", "password": PASSWORD})
    session = page.cookies["sessionid"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"


def test_without_a_socket_nobody_is_told_and_nothing_is_begun() -> None:
    assert server.hub_or_none is None
    sockets.judge_anew(UUID(int=1))
    assert server.hub_or_none is None


def test_operators_sign_in_where_everybody_does() -> None:
    answer = Client().get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login")
    boss = User.objects.create_superuser("boss@example.org", PASSWORD, name="Boss")
    eve = person("Eve")
    made = client(boss)
    assert made.get("/admin/accounts/user/").status_code == 200
    address = f"/admin/accounts/user/{eve.id}/change/"
    assert made.get(address).status_code == 200
    assert made.post(address, {"name": "Eve", "language": ""}).status_code == 302
    eve.refresh_from_db()
    assert not eve.is_active
    assert client(eve).get("/admin/").status_code == 302


def test_people_are_found_by_address_or_id() -> None:
    eve = person("Eve")
    assert User.objects.get_by_natural_key("EVE@example.org") == eve
    assert User.objects.get_by_natural_key(str(eve.id)) == eve
    with pytest.raises(User.DoesNotExist):
        User.objects.get_by_natural_key("eve")
