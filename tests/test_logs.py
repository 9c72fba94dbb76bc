"""The log tells what happened and to which request or command, and nothing that people wrote."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError
from django.http import Http404
from django.test import override_settings
from django.urls import resolve

from chat.log.errors import Refused
from livesale import logs
from tests.processes import LiveProcess
from tests.rest.live import Browser

CANARY = "kanarienvogel"


def record(name: str = "chat.log.lane", message: str = "a thing", *args: object, **extra: Any) -> Any:
    made = logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, extra.pop("exc_info", None))
    vars(made).update(extra)
    return made


def both(made: logging.LogRecord) -> tuple[str, dict[str, str]]:
    return logs.Line().format(made), json.loads(logs.Json().format(made))


def raised(error: Exception) -> Any:
    try:
        try:
            raise KeyError(f"{CANARY} inside")
        except KeyError as inner:
            raise error from inner
    except type(error):
        return sys.exc_info()


def test_a_line_and_an_object() -> None:
    line, made = both(record("chat.log.lane", "batch of %d failed", 7, command_id="0190-x"))
    assert (made["level"], made["logger"], made["message"]) == ("ERROR", "chat.log.lane", "batch of 7 failed")
    assert made["command_id"] == "0190-x"
    assert line.endswith(" ERROR chat.log.lane batch of 7 failed command_id=0190-x")
    assert set(made) == {"time", "level", "logger", "message", "command_id"}


def test_nobody_forges_a_line() -> None:
    line, made = both(record("x", "%s", "one\r\n2026-01-01 INFO all is well\x1b[2J\u2028end"))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line + made["message"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IntegrityError(f"Key (email)=({CANARY}@x.example) exists"), "django.db.utils.IntegrityError"),
        (ValueError(f"invalid literal: {CANARY}"), "builtins.ValueError"),
        (Refused("claim.sold_out", said=CANARY), "chat.log.errors.Refused [claim.sold_out]"),
    ],
)
def test_of_an_exception_its_type_and_its_way(error: Exception, told: str) -> None:
    line, made = both(record(exc_info=raised(error)))
    for text in (line, made["exception"]):
        assert CANARY not in text
        assert told in text
        assert "builtins.KeyError" in text
        assert f"{__file__}:" in text


def test_of_a_request_its_pattern(rf: Any) -> None:
    request = rf.get(f"/account/verify/{CANARY}", headers={"Host": CANARY})
    request.resolver_match = resolve(request.path)
    said = ("%s: %s", "Not Found", request.path)
    _, made = both(record("django.request", *said, request=request, status_code=404))
    assert made["message"] == "GET account/verify/<str:key> 404"
    _, made = both(record("django.security.DisallowedHost", "Invalid HTTP_HOST header: %r.", CANARY))
    assert made["message"] == "Invalid HTTP_HOST header:"
    _, made = both(record("django.security.DisallowedHost", f"Invalid HTTP_HOST header: {CANARY}"))
    assert CANARY not in made["message"]
    _, made = both(record("asyncio", f"Task exception was never retrieved\nfuture: <Task {CANARY}>"))
    assert CANARY not in made["message"]
    _, made = both(record("daphne.server", f"Traceback (most recent call last):\n  x\nValueError: {CANARY}"))
    assert made["message"] == "failed with ValueError"


@pytest.mark.parametrize(
    ("proxies", "said", "taken"),
    [
        (1, "from-the-proxy-1", True),
        (0, "from-the-proxy-1", False),
        (1, "short", False),
        (1, "x" * 65, False),
        (1, "a b c d e f g h", False),
        (1, "", False),
    ],
)
def test_a_request_has_an_id(client: Any, proxies: int, said: str, taken: bool, db: None) -> None:
    with override_settings(TRUSTED_PROXIES=proxies):
        answer = client.get("/robots.txt", headers={"X-Request-ID": said, "X-Forwarded-For": "1.2.3.4"})
    told = answer.headers["X-Request-ID"]
    assert (told == said) == taken
    assert len(told) >= 8


def test_what_is_logged_meanwhile_has_it(rf: Any) -> None:
    seen = []

    def view(request: Any) -> Any:
        seen.append(logs.facts(record())["request"])
        raise Http404

    with pytest.raises(Http404):
        logs.with_request_id(view)(rf.get("/"))
    assert len(seen[0]) == 32
    assert "request" not in logs.facts(record())


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_nothing_that_people_say_is_in_the_log(
    live_processes: Callable[..., list[LiveProcess]], server: str
) -> None:
    """At the most talkative level, through everything that takes text."""
    # printed mails are for the one who writes the program, and so is daphne's own access log
    mail = "django.core.mail.backends.dummy.EmailBackend"
    env = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG", "EMAIL_BACKEND": mail}
    words = ("-v", "0") if server == "daphne" else ()
    (process,) = live_processes(1, server=server, env=env, server_args=words)
    eve = Browser(process).sign_up(f"{CANARY}.mail")
    shop = eve.call("POST", "/api/v1/shops/", {"name": f"{CANARY} shop", "currency": "EUR"})[1]["shop"]
    product = {"code": "12", "title": f"{CANARY} scarf", "variants": [{"price_minor": 1, "stock": 2}]}
    eve.command(shop, "product.create", **product)
    room = eve.command(shop, "room.create", kind="group", name=f"{CANARY} room")["room"]
    eve.call("POST", f"/api/v1/streams/{room}/commands/message.send/", {"text": f"{CANARY} text"})
    eve.call("POST", f"/api/v1/streams/{room}/commands/{CANARY}/", {"text": 5, CANARY: 1})
    eve.call("POST", f"/api/v1/streams/{room}/commands/message.send/", f"{{{CANARY}".encode())
    guest = Browser(process)
    body = {"email": f"{CANARY}@x.example", "password": f"{CANARY} password"}
    guest.call("POST", "/_allauth/browser/v1/auth/login", body)
    for path in ("/account/verify/", "/i/", "/account/password/reset/", "/nowhere/", "/api/v1/", "/s/"):
        guest.call("GET", f"{path}{CANARY}")
        guest.call(
            "GET", f"{path}?token={CANARY}", Host=f"{CANARY}.example", Authorization=f"Bearer {CANARY}"
        )
    guest.call("POST", "/host/", {"a": CANARY})
    with eve.socket() as socket:
        for frame in (
            {"type": "join", "streams": [{"stream": room}]},
            {"type": "do", "id": CANARY, "stream": room, "name": "message.send", "body": {"text": CANARY}},
            {"type": "auth", "ticket": CANARY},
            {"type": "auth", "resume": CANARY},
            {"type": CANARY},
        ):
            socket.send(json.dumps(frame))
            socket.recv(timeout=10)
        socket.send(f"{{{CANARY}")
        socket.recv(timeout=10)
    text = process.log
    assert CANARY not in text
    # it would be found: something was logged, each line by itself an object with its request
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line["request"] for line in lines if line["logger"] == "django.request")
    assert any("(no such address) 404" in line["message"] for line in lines)
