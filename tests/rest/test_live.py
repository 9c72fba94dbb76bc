"""REST and sign-in on real servers: what only shows with a socket, a second process or a real HTTP parser."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from uuid_utils.compat import uuid7
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.processes import LiveProcess, live_processes
from tests.rest.live import PASSWORD, Browser
from tests.services import PostgresService, RedisService, wait_until

# Every process also asks now and then who may stay: too seldom here for it to be what closes a socket.
RARELY: dict[str, Any] = {
    "application": "tests.faults.hasty_app:application",
    "env": {"LIVESALE_TEST_NUMBERS": "chat.realtime.server.RECHECK=600"},
}


@dataclass
class Site:
    process: LiveProcess
    host: Browser
    shop: str
    slug: str
    room: str
    product: str
    order: str


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A shop with a room, opened by requests alone."""
    with live_processes(1, server=request.param, **RARELY) as (process,):
        yield open_site(process)


def open_site(process: LiveProcess) -> Site:
    host = Browser(process).sign_up("host")
    status, shop = host.call("POST", "/api/v1/shops/", {"name": "Anna", "currency": "EUR"})
    assert status == 201, shop
    made = host.command(
        shop["shop"],
        "product.create",
        code="12",
        title="Scarf",
        variants=[{"price_minor": 1500, "stock": 10_000}],
    )
    room = host.command(shop["shop"], "room.create", kind="sale", name="Tonight")["room"]
    host.command(room, "sale.schedule", title="Tonight")
    offer = host.command(room, "offer.add", variant=made["variants"][0])["offer"]
    host.command(room, "sale.start")
    claim = host.command(room, "claim.place", offer=offer, qty=1)
    return Site(process, host, shop["shop"], shop["slug"], room, made["product"], claim["order"])


def read_until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(socket.recv(timeout=10))
        if frame["type"] == kind:
            return frame


def closing_code(socket: ClientConnection, within: float) -> int:
    """The code with which the server closes, which it must do within so many seconds."""
    until = time.monotonic() + within
    try:
        while True:
            socket.recv(timeout=max(0.01, until - time.monotonic()))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code


def test_a_command_by_request_is_heard_on_the_socket(site: Site) -> None:
    with site.host.socket() as socket:
        read_until(socket, "hello")
        socket.send(json.dumps({"type": "join", "streams": [{"stream": site.room}]}))
        read_until(socket, "joined")
        key = str(uuid7())
        path = f"/api/v1/streams/{site.room}/commands/message.send/"
        first = site.host.call("POST", path, {"text": "hello"}, **{"Idempotency-Key": key})
        again = site.host.call("POST", path, {"text": "hello"}, **{"Idempotency-Key": key})
        assert first[0] == again[0] == 200
        assert again[1] == {"answer": first[1]["answer"], "repeated": True}
        sent = [e for e in read_until(socket, "events")["events"] if e["kind"] == "message.sent"]
        assert [e["body"]["message"] for e in sent] == [first[1]["answer"]["message"]]


def test_another_site_can_not_send_with_our_cookie(site: Site) -> None:
    path = f"/api/v1/streams/{site.room}/commands/message.send/"
    status, said = site.host.call("POST", path, {"text": "x"}, **{"X-CSRFToken": ""})
    assert (status, said["code"]) == (403, "csrf.failed")
    status, said = site.host.call("POST", path, {"text": "x"}, **{"Origin": "https://evil.example"})
    assert (status, said["code"]) == (403, "csrf.failed")


def test_no_client_says_where_the_site_is(site: Site) -> None:
    forged = {"Daphne-Root-Path": "/evil", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "https"}
    for path in ("/admin/", "/host/"):
        connection = http.client.HTTPConnection("127.0.0.1", site.process.port, timeout=30)
        connection.request("GET", path, headers=forged)
        answer = connection.getresponse()
        assert answer.status == 302
        assert "evil" not in str(answer.headers["Location"])
        assert str(answer.headers["Location"]).startswith("/")
        connection.close()


def test_bodies_are_bounded(site: Site) -> None:
    for size in (70_000, 3_000_000):
        status, said = site.host.call("POST", "/api/v1/rooms/join/", b'"' + b"x" * size + b'"')
        assert (status, said["code"]) == (413, "body.too_large")


def test_signing_out_closes_the_socket_of_that_session_only(site: Site) -> None:
    eve = Browser(site.process).sign_up(f"eve-{uuid7().hex}")
    elsewhere = Browser(site.process)
    elsewhere.call("GET", "/_allauth/browser/v1/config")
    email = eve.call("GET", "/api/v1/me/")[1]["email"]
    assert (
        elsewhere.call("POST", "/_allauth/browser/v1/auth/login", {"email": email, "password": PASSWORD})[0]
        == 200
    )
    with eve.socket() as mine, elsewhere.socket() as other:
        assert read_until(mine, "hello")["you"]
        assert read_until(other, "hello")["you"]
        eve.call("DELETE", "/_allauth/browser/v1/auth/session")
        assert closing_code(mine, within=30) == 4401
        other.send(json.dumps({"type": "ping"}))
        read_until(other, "pong")


def test_signing_out_closes_the_sockets_that_tickets_of_that_session_have_opened(site: Site) -> None:
    eve = Browser(site.process).sign_up(f"eve-{uuid7().hex}")
    status, made = eve.call("POST", "/api/v1/me/ticket/")
    assert status == 201, made
    # a client that sends no cookie: only the ticket says who it is
    with connect(f"{site.process.ws_url}/ws/", origin=site.process.origin, proxy=None) as socket:  # type: ignore[arg-type]
        assert not read_until(socket, "hello").get("you")
        socket.send(json.dumps({"type": "auth", "ticket": made["ticket"]}))
        assert read_until(socket, "hello")["you"]
        eve.call("DELETE", "/_allauth/browser/v1/auth/session")
        assert closing_code(socket, within=30) == 4401


def test_a_new_password_closes_every_socket_on_every_process(
    live_processes: Callable[..., list[LiveProcess]],
    durable_postgres_server: PostgresService,
    redis_server: RedisService,
) -> None:
    first, second = live_processes(
        2,
        server="uvicorn",
        database_url=durable_postgres_server.create_database("rest_revoke"),
        redis_url=redis_server.url,
        **RARELY,
    )
    eve = Browser(first).sign_up("eve")
    with eve.socket() as here, eve.socket(second) as there:
        assert read_until(here, "hello")["you"]
        assert read_until(there, "hello")["you"]
        # a process begins to listen to the others with its first socket, and the socket does not wait for that
        with redis.Redis.from_url(redis_server.url) as link:
            wait_until(
                lambda: [n for _, n in link.pubsub_numsub(*link.pubsub_channels("*people"))] == [2],
                what="both to listen",
            )
        body = {"current_password": PASSWORD, "new_password": "another long one 8"}
        status, said = eve.call("POST", "/_allauth/browser/v1/account/password/change", body)
        assert status == 200, said
        assert closing_code(here, within=30) == 4401
        assert closing_code(there, within=30) == 4401
    # and the page goes on with the session that it has now
    assert eve.at(second).call("GET", "/api/v1/me/")[1]["person"]
