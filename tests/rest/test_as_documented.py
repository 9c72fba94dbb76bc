"""Whatever the OpenAPI document allows, and a little beside it, is answered as the document says.

By somebody of each kind, for every operation. `make test` sends a few of each, always the same; the long form
(`pytest -m heavy tests/rest/test_as_documented.py`, part of `make proofs`) sends many, other ones each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis.checks import CHECKS

from livesale.rest import docs
from tests.processes import live_processes
from tests.rest.live import Browser
from tests.rest.test_live import Site, open_site


def described() -> dict[str, Any]:
    """The document without what it says about signing in.

    Who asks is set here; without this, a request would count as wrong for lacking the cookie that is added to it.
    What is refused to whom is in tests/proofs/test_who_may.py.
    """
    document: dict[str, Any] = json.loads(docs.document())
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    document["components"].pop("securitySchemes", None)
    return document


schema = schemathesis.openapi.from_dict(described())
pytestmark = pytest.mark.slow

# Every check of Schemathesis but these.
LEFT_OUT = {
    # a body that keeps to its type is refused all the same when its row is not there, or as things stand
    "positive_data_acceptance",
}


# What the document says of a command that no room takes.
OF_SHOP = "On streams of kind: shop."


@dataclass
class People:
    """One site, and somebody of each kind there."""

    site: Site
    by_role: dict[str, Browser]


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    with live_processes(1, server="uvicorn") as (process,):
        site = open_site(process)
        buyer, moderator = (Browser(process).sign_up(name) for name in ("buyer", "moderator"))
        for person in (buyer, moderator):
            person.command(site.room, "member.join")
        whom = moderator.call("GET", "/api/v1/me/")[1]["person"]
        site.host.command(site.room, "member.appoint", person=whom, role="moderator")
        guest = Browser(process)
        yield People(site, {"host": site.host, "buyer": buyer, "moderator": moderator, "guest": guest})


def is_id(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


def ask(people: People, role: str, case: Any) -> None:
    """One generated request, with its path leading to things that are there."""
    site, who = people.site, people.by_role[role]
    of_shop = "/commands/" in case.path and OF_SHOP in case.operation.definition.raw["description"]
    there = {
        "stream": site.shop if of_shop else site.room,
        "room": site.room,
        "shop": site.slug,
        "product": site.product,
        "order": site.order,
    }
    for name, value in case.path_parameters.items():
        # what is no id is meant to be none
        if name == "shop" or is_id(value):
            case.path_parameters[name] = there[name]
    # an empty key counts as none
    assume((case.headers or {}).get("Idempotency-Key") != "")
    headers = {n: v for n, v in who.headers.items() if v}
    answer = case.call(base_url=site.process.base_url, headers=headers)
    case.validate_response(answer, excluded_checks=CHECKS.get_by_names(sorted(LEFT_OUT)))


def sent(count: int, **more: Any) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


everybody = pytest.mark.parametrize("role", ["host", "buyer", "moderator", "guest"])


@everybody
@schema.parametrize()
@sent(2, derandomize=True)
def test_a_few_of_each(case: Any, role: str, people: People) -> None:
    ask(people, role, case)


@pytest.mark.heavy
@everybody
@schema.parametrize()
@sent(30, print_blob=True)
def test_many_of_each(case: Any, role: str, people: People) -> None:
    ask(people, role, case)
