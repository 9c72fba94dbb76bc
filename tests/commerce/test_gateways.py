"""What every gateway must do, and the sandbox's signatures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings
from uuid_utils.compat import uuid7

from commerce.errors import Refused
from commerce.payments import sandbox
from commerce.payments.gateways import GATEWAYS, Request, gateway

NOW = datetime(2026, 3, 1, 20, 0, 0, 500000, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("_secret")


@pytest.fixture
def _secret():
    with override_settings(LIVESALE_SANDBOX_SECRET="a secret"):
        yield


EVERY = [(name, method) for name in GATEWAYS for method in gateway(name).methods]


@pytest.mark.parametrize(("name", "method"), EVERY)
def test_every_gateway_begins_the_same_attempt_the_same_way(name: str, method: str) -> None:
    chosen, attempt = gateway(name), uuid7()
    request = Request(attempt, 3000, "EUR", "7-1", method)
    started = chosen.begin(request, NOW)
    assert started == chosen.begin(request, NOW)
    assert started.provider_ref
    assert bool(started.redirect_url) != bool(started.instructions)
    json.dumps(started.instructions)
    assert timedelta(0) < chosen.window(method) < timedelta(days=30)
    assert isinstance(chosen.keeps_holds(method), bool)


@pytest.mark.parametrize(("name", "method"), EVERY)
def test_every_gateway_refunds_the_same_refund_the_same_way(name: str, method: str) -> None:
    chosen, refund = gateway(name), uuid7()
    request = Request(uuid7(), 3000, "EUR", "7-1", method)
    answer = chosen.refund(request, refund, 1000, NOW)
    assert answer == chosen.refund(request, refund, 1000, NOW)
    assert answer.ok in (True, None)


@pytest.mark.parametrize("name", GATEWAYS)
def test_no_gateway_believes_an_unsigned_webhook_or_an_unknown_method(name: str) -> None:
    with pytest.raises(Refused, match="webhook"):
        gateway(name).verify_webhook(b"{}", {}, NOW)
    with pytest.raises(Refused, match="method_unknown"):
        gateway(name).window("barter")


@pytest.mark.parametrize("name", GATEWAYS)
def test_no_gateway_touches_the_database(name: str) -> None:
    """Tests without the ``db`` fixture fail at the first query."""
    chosen = gateway(name)
    chosen.begin(Request(uuid7(), 1, "JPY", "1-1", chosen.methods[0]), NOW)


def test_unknown_gateways_are_refused() -> None:
    with pytest.raises(Refused, match="gateway_unknown"):
        gateway("barter")


def body(**changes) -> bytes:
    facts = {
        "event_id": "e1",
        "kind": "succeeded",
        "attempt_id": uuid7(),
        "amount_minor": 5,
        "currency": "EUR",
    }
    return sandbox.webhook_body(**(facts | changes))


def verify(content: bytes, headers: dict, now: datetime = NOW):
    return gateway("sandbox").verify_webhook(content, headers, now)


def test_a_signed_webhook_is_believed() -> None:
    attempt, refund = uuid7(), uuid7()
    content = body(attempt_id=attempt, refund_id=refund, kind="refunded")
    facts = verify(content, sandbox.sign(content, NOW))
    assert (facts.attempt_id, facts.refund_id, facts.kind) == (attempt, refund, "refunded")
    shouted = {name.upper(): value for name, value in sandbox.sign(content, NOW).items()}
    assert verify(content, shouted) == facts


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)]
)
def test_a_webhook_may_be_300_seconds_old(seconds: int, fresh: bool) -> None:
    content = body()
    headers = sandbox.sign(content, NOW)
    if fresh:
        assert verify(content, headers, NOW + timedelta(seconds=seconds))
    else:
        with pytest.raises(Refused, match=r"webhook\.stale"):
            verify(content, headers, NOW + timedelta(seconds=seconds))


def test_one_changed_byte_anywhere_is_noticed() -> None:
    content = body()
    headers = sandbox.sign(content, NOW)
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(Refused, match=r"webhook\.signature"):
            verify(changed, headers)


def test_another_key_another_time_or_nonsense_is_refused() -> None:
    content = body()
    with override_settings(LIVESALE_SANDBOX_SECRET="another"):
        other = sandbox.sign(content, NOW)
    right = sandbox.sign(content, NOW)[sandbox.HEADER]
    digest = right.split("v1=")[1]
    later = f"t={int(NOW.timestamp()) + 1},v1={digest}"
    nonsense = [
        "",
        "t=,v1=",
        "v1=" + digest,
        "t=1e9,v1=" + digest,
        "t=²,v1=" + digest,
        right + "é",
        "t=" + "9" * 30,
    ]
    for header in [other[sandbox.HEADER], later, *nonsense]:
        with pytest.raises(Refused, match=r"webhook\.signature"):
            verify(content, {sandbox.HEADER: header})


def test_without_a_secret_nothing_is_believed() -> None:
    content = body()
    headers = sandbox.sign(content, NOW)
    with override_settings(LIVESALE_SANDBOX_SECRET=""), pytest.raises(Refused, match=r"webhook\.signature"):
        verify(content, headers)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"null", b"{}", b'"x"', b"\xff",
        body(kind="stolen"), body(amount_minor=-1), body(amount_minor=1.5), body(amount_minor=True),
        body(event_id=""), body(event_id="x" * 121), body(currency=5),
    ],
)  # fmt: skip
def test_signed_nonsense_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match=r"webhook\.malformed"):
        verify(content, sandbox.sign(content, NOW))
