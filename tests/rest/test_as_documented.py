"""Whatever the OpenAPI document allows, and a little beside it, is answered as the document says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from livesale.rest import docs
from tests.processes import live_processes
from tests.rest.live import Browser
from tests.rest.test_live import Site, open_site

schema = schemathesis.openapi.from_dict(json.loads(docs.document()))
pytestmark = pytest.mark.slow

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with live_processes(1, server="uvicorn") as (process,):
        yield open_site(process)


def ask(site: Site, who: Browser, case: Any) -> None:
    """One generated request, with its path leading to things that are there."""
    there = {
        "stream": site.room,
        "room": site.room,
        "shop": site.slug,
        "product": site.product,
        "order": site.order,
    }
    case.path_parameters.update({k: v for k, v in there.items() if k in case.path_parameters})
    if (
        "/commands/" in case.path
        and "On streams of kind: shop." in case.operation.definition.raw["description"]
    ):
        case.path_parameters["stream"] = site.shop
    headers = {n: v for n, v in who.headers.items() if v}
    answer = case.call(base_url=site.process.base_url, headers=headers)
    case.validate_response(answer, checks=CHECKS)


BOUNDED = settings(
    max_examples=2,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@BOUNDED
def test_somebody_who_may(case: Any, site: Site) -> None:
    ask(site, site.host, case)


@schema.parametrize()
@BOUNDED
def test_a_guest(case: Any, site: Site) -> None:
    ask(site, Browser(site.process), case)
