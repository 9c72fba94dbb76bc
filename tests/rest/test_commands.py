"""Commands by request: the same commit and the same answers as on a socket, and every refusal as one JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import OperationalError
from django.test import Client
from msgspec import inspect
from uuid_utils.compat import uuid7

from chat.log import registry
from chat.log.errors import Refused, busy
from commerce.errors import Refused as CommerceRefused
from livesale.rest import streams
from livesale.rest.errors import status_of
from tests.rest.world import ShopWorld, client

pytestmark = pytest.mark.database


def post(made: Client, stream: UUID, name: str, body: Any, **headers: str) -> Any:
    return made.post(
        f"/api/v1/streams/{stream}/commands/{name}/",
        body if isinstance(body, bytes | str) else json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


def test_a_command_is_carried_out_and_answered(world: ShopWorld) -> None:
    answer = post(client(world.buyer), world.room, "message.send", {"text": "hello"})
    assert answer.status_code == 200
    assert answer.json().keys() == {"answer", "repeated"}
    assert not answer.json()["repeated"]
    assert answer["Cache-Control"] == "no-store"


def test_the_same_key_gets_the_same_answer(world: ShopWorld) -> None:
    key = str(uuid7())
    made = client(world.buyer)
    first, second = (
        post(made, world.room, "message.send", {"text": "once"}, **{"Idempotency-Key": key}) for _ in range(2)
    )
    assert second.json() == {"answer": first.json()["answer"], "repeated": True}
    other = post(made, world.room, "message.send", {"text": "twice"}, **{"Idempotency-Key": f'"{key}"'})
    assert other.status_code == 409
    assert other.json()["code"] == "command.reused"


@pytest.mark.parametrize(
    "key", ["", "x", "9362a6af-6601-41ef-a670-04d32a431bb6", "00000000-0000-0000-0000-000000000000"]
)
def test_only_ids_of_version_7_are_keys(world: ShopWorld, key: str) -> None:
    answer = post(client(world.buyer), world.room, "message.send", {"text": "a"}, **{"Idempotency-Key": key})
    assert answer.status_code == (400 if key else 200)
    if key:
        assert answer.json()["code"] == "command.bad_id"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '"text"',
        '{"text": 1}',
        '{"text": "a", "more": 1}',
        '{"text": "a", "text": "b"}',
        '{"text": NaN}',
        '{"text": "a\\u0000b"}',
        '{"text": "\\ud800"}',
        '{"text": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"text": ' + '{"a":' * 9 + "1" + "}" * 10,
        b'{"text": "\xff"}',
    ],
)
def test_what_is_not_the_command_is_refused(world: ShopWorld, body: Any) -> None:
    answer = post(client(world.buyer), world.room, "message.send", body)
    assert answer.status_code in {400, 409, 413}
    said = answer.json()
    assert said.keys() == {"code", "message", "params", "temporary", "retry_after"}
    assert "Traceback" not in answer.content.decode()


def test_two_variants_of_one_label_are_refused_not_a_fault(world: ShopWorld) -> None:
    goods = {"code": "99", "title": "Hat", "variants": [{"price_minor": 1, "label": x} for x in ("M", " M")]}
    answer = post(client(world.owner), world.shop, "product.create", goods)
    assert (answer.status_code, answer.json()["code"]) == (400, "command.invalid")


def test_a_body_has_a_size_and_a_type(world: ShopWorld) -> None:
    made = client(world.buyer)
    too_large = post(made, world.room, "message.send", json.dumps({"text": "x" * 70_000}))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body.too_large")
    form = made.post(f"/api/v1/streams/{world.room}/commands/message.send/", {"text": "hello"})
    assert (form.status_code, form.json()["code"]) == (415, "body.wrong_type")


def test_guests_must_sign_in(world: ShopWorld) -> None:
    answer = post(client(), world.room, "message.send", {"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.required")
    assert answer["WWW-Authenticate"]


def test_no_csrf_token_no_command(world: ShopWorld) -> None:
    strict = client(world.buyer, enforce_csrf_checks=True)
    answer = post(strict, world.room, "message.send", {"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf.failed")
    token = strict.get("/_allauth/browser/v1/config") and strict.cookies["csrftoken"].value
    assert (
        post(strict, world.room, "message.send", {"text": "a"}, **{"X-CSRFToken": token}).status_code == 200
    )


def test_system_commands_are_not_for_people(world: ShopWorld) -> None:
    system = [name for name, spec in registry.COMMANDS.items() if spec.system]
    assert system
    for name in [*system, "no.such", "x" * 300]:
        answer = post(client(world.owner), world.room, name, {})
        assert (answer.status_code, answer.json()["code"]) == (404, "command.unknown")


def test_a_room_one_may_not_see_is_no_room(world: ShopWorld) -> None:
    for stream in (world.closed, uuid7()):
        answer = post(client(world.buyer), stream, "message.send", {"text": "a"})
        assert (answer.status_code, answer.json()["code"]) == (404, "stream.unknown")


def test_what_is_temporary_says_when_to_come_again(world: ShopWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise busy(2.5)

    monkeypatch.setattr(streams, "execute", refuse)
    answer = post(client(world.buyer), world.room, "message.send", {"text": "a"})
    assert answer.status_code == 503
    assert answer["Retry-After"] == "3"
    assert answer.json()["temporary"] is True
    assert answer.json()["retry_after"] == 2.5


def test_what_nobody_foresaw_tells_nothing(world: ShopWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("with a secret")

    monkeypatch.setattr(streams, "execute", fail)
    answer = post(client(world.buyer), world.room, "message.send", {"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (500, "server.error")
    assert b"secret" not in answer.content

    def lost(*args: Any, **options: Any) -> Any:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(streams, "execute", lost)
    answer = post(client(world.buyer), world.room, "message.send", {"text": "a"})
    assert (answer.status_code, answer.json()["temporary"]) == (503, True)


def test_messages_of_refusals_are_in_the_persons_language(world: ShopWorld) -> None:
    world.buyer.language = "de"
    world.buyer.save()
    assert post(client(world.buyer), world.closed, "message.send", {"text": "a"}).json()["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("auth.required"), 401),
        (Refused("permission.denied"), 403),
        (Refused("member.banned"), 403),
        (Refused("stream.unknown"), 404),
        (Refused("command.invalid"), 400),
        (Refused("message.slow", temporary=True), 429),
        (Refused("server.unavailable", temporary=True), 503),
        (Refused("server.error"), 500),
        (CommerceRefused("claim.sold_out"), 409),
        (CommerceRefused("order.unknown"), 404),
    ],
)
def test_every_refusal_has_its_status(error: Exception, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    "address", ["/api/", "/api/v1/", "/api/v1/nothing/", "/api/v2/me/", "/api/v1/streams/1/snapshot/"]
)
def test_unknown_addresses_answer_in_json(db: None, address: str) -> None:
    for method in ("get", "post", "delete"):
        answer = getattr(client(), method)(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "address.unknown")


def test_other_methods_are_refused_in_json(world: ShopWorld) -> None:
    answer = client(world.buyer).delete("/api/v1/me/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method.not_allowed")


def test_a_foreign_host_is_refused_in_json(db: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["shop.example"]
    answer = client().get("/api/v1/me/", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "command.invalid")


def test_all_that_a_command_takes_has_its_bounds() -> None:
    unbounded = [
        place
        for name, spec in registry.COMMANDS.items()
        if not spec.system and not type(spec.handler).__module__.startswith("tests.")
        for place in without_bounds(inspect.type_info(spec.body), name)
    ]
    assert unbounded == []


def without_bounds(found: inspect.Type, place: str) -> Iterator[str]:
    """Where in a type a number may be any number, or a text or a list as long as it likes."""
    match found:
        case inspect.IntType() | inspect.FloatType():
            if (found.ge is None and found.gt is None) or (found.le is None and found.lt is None):
                yield place
        case inspect.StrType():
            if found.max_length is None:
                yield place
        case inspect.ListType():
            if found.max_length is None:
                yield place
            yield from without_bounds(found.item_type, f"{place}[]")
        case inspect.DictType():
            if found.max_length is None:
                yield place
            yield from without_bounds(found.key_type, f"{place}.key")
            yield from without_bounds(found.value_type, f"{place}.value")
        case inspect.StructType():
            for each in found.fields:
                yield from without_bounds(each.type, f"{place}.{each.name}")
        case inspect.UnionType():
            for of_them in found.types:
                yield from without_bounds(of_them, place)
        case inspect.UUIDType() | inspect.BoolType() | inspect.LiteralType() | inspect.NoneType():
            pass
        case _:
            # whatever it is, nobody has thought of its bounds
            yield place


@pytest.mark.parametrize(
    "kind", [int, float, str, bytes, Any, set[UUID], list[UUID], dict[UUID, bool], list[int | None]]
)
def test_the_guard_of_bounds_sees_what_has_none(kind: Any) -> None:
    made = msgspec.defstruct("Body", [("field", kind)])
    assert list(without_bounds(inspect.type_info(made), "made"))
