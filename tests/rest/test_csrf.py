"""A page of another site can do nothing with our cookie: every unsafe route, and the doors of sign-in."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from tests.proofs.test_who_may import METHODS, routes
from tests.rest.world import ShopWorld

pytestmark = pytest.mark.django_db

# A key in a header is what counts there, and another site does not have it; see test_keys.py.
BY_KEY = {"shops/<str:shop>/tickets/"}
UNSAFE = [(method, route) for method, route in routes() if method in METHODS[1:] and route not in BY_KEY]


@pytest.mark.parametrize(("method", "route"), UNSAFE)
def test_without_the_token_nothing_is_done(method: str, route: str, world: ShopWorld) -> None:
    path = f"/api/v1/{route}"
    for part, value in (
        ("<uuid:stream>", world.room), ("<str:name>", "message.send"), ("<uuid:room>", world.room),
        ("<str:shop>", world.shop), ("<uuid:product>", world.product),
    ):  # fmt: skip
        path = path.replace(part, str(value))
    assert "<" not in path, f"{route} has a part that is not known here"
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    sent = json.dumps({"text": str(uuid7())})
    for origin in ("https://evil.example", "null", None):
        headers = {"Origin": origin} if origin else {}
        answer = getattr(client, method)(path, sent, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf.failed"), origin


def test_the_list_is_not_empty() -> None:
    assert len(UNSAFE) >= 6
