"""Behind real proxies with the samples of deploy/ and TLS: pages, REST, sockets, what stays inside, restarts."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests import services
from tests.deploy.proxies import NAME, Caddy, Nginx, Proxy, behind, words_of_the_unit
from tests.processes import LiveProcess, live_processes, manage
from tests.wire.backstage import Backstage
from tests.wire.client import Wire, new_id

PASSWORD = "a long enough one 7"


@pytest.fixture(scope="module", params=[Nginx, Caddy], ids=lambda kind: kind.name)
def proxied(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, LiveProcess]]:
    folder = services.temporary_folder("proxy")
    plain, port = services.free_port(), services.free_port()
    with live_processes(1, server="uvicorn", env=behind(port), server_args=words_of_the_unit()) as (process,):
        proxy = request.param(folder, [process], plain, port)
        yield proxy, process
        proxy.end()
    services.remove_folder(folder)


def cookies_of(headers: http.client.HTTPMessage) -> SimpleCookie:
    found = SimpleCookie()
    for line in headers.get_all("Set-Cookie", []):
        found.load(line)
    return found


def sign_up(proxy: Proxy, name: str) -> dict[str, str]:
    """The headers of somebody signed in."""
    _, _, headers = proxy.call("GET", "/_allauth/browser/v1/config")
    token = cookies_of(headers)["csrftoken"].value
    sent = {"Cookie": f"csrftoken={token}", "X-CSRFToken": token, "Origin": proxy.origin}
    sent["Referer"] = f"{proxy.origin}/account/signup"
    status, said, headers = proxy.call(
        "POST", "/_allauth/browser/v1/auth/signup", {"email": f"{name}@x.example", "password": PASSWORD}, sent
    )
    assert status == 200, said
    cookies = cookies_of(headers)
    assert cookies["sessionid"]["secure"]
    assert cookies["sessionid"]["httponly"]
    jar = {"csrftoken": token, **{key: morsel.value for key, morsel in cookies.items()}}
    return {
        **sent,
        "X-CSRFToken": jar["csrftoken"],
        "Cookie": "; ".join(f"{key}={value}" for key, value in jar.items()),
    }


async def test_pages_rest_and_sockets_through_a_proxy(proxied: tuple[Proxy, LiveProcess]) -> None:
    proxy, _ = proxied
    status, page, headers = await asyncio.to_thread(proxy.call, "GET", "/")
    assert status == 200
    assert "<html" in page
    assert headers["Strict-Transport-Security"]
    me = await asyncio.to_thread(sign_up, proxy, "eve")
    made = await asyncio.to_thread(
        proxy.call, "POST", "/api/v1/shops/", {"name": "Eve", "currency": "EUR"}, me
    )
    assert made[0] == 201, made[1]
    shop = json.loads(made[1])["shop"]
    async with connect(
        f"wss://{NAME}:{proxy.port}/ws/",
        host="127.0.0.1",
        ssl=proxy.trust,
        origin=proxy.origin,  # type: ignore[arg-type]
        additional_headers={"Cookie": me["Cookie"]},
        proxy=None,
    ) as socket:
        hello = json.loads(await socket.recv())
        assert hello["type"] == "hello"
        assert hello["you"]["id"]
        await socket.send(json.dumps({"type": "join", "streams": [{"stream": shop}]}))
        assert json.loads(await socket.recv())["type"] == "joined"
    # a page of somebody else opens no socket with our cookie
    async with connect(
        f"wss://{NAME}:{proxy.port}/ws/",
        host="127.0.0.1",
        ssl=proxy.trust,
        origin="https://elsewhere.example",  # type: ignore[arg-type]
        additional_headers={"Cookie": me["Cookie"]},
        proxy=None,
    ) as socket:
        assert json.loads(await socket.recv())["code"] == 4403


def test_what_is_not_encrypted_is_sent_elsewhere(proxied: tuple[Proxy, LiveProcess]) -> None:
    proxy, _ = proxied
    link = http.client.HTTPConnection("127.0.0.1", proxy.plain, timeout=10)
    link.request("GET", "/host/", headers={"Host": NAME, "X-Forwarded-Proto": "https"})
    answer = link.getresponse()
    assert answer.status in (301, 308)
    assert answer.headers["Location"] == f"https://{NAME}/host/"
    link.close()


def guesses(link: http.client.HTTPConnection, count: int) -> list[int]:
    """The statuses of guessed keys, every time from another address, if one believes what the headers say."""
    statuses = []
    for n in range(count):
        address = f"198.51.100.{n + 1}"
        headers = {
            "Host": NAME,
            "Authorization": f"Bearer guess{n}",
            "Content-Type": "application/json",
            "X-Forwarded-For": address,
            "X-Real-IP": address,
            "Forwarded": f"for={address}",
        }
        link.request("POST", "/api/v1/shops/eve/tickets/", body="{}", headers=headers)
        answer = link.getresponse()
        answer.read()
        statuses.append(answer.status)
    link.close()
    return statuses


def test_a_forged_address_is_not_believed(proxied: tuple[Proxy, LiveProcess]) -> None:
    """Keys are guessed 30 times a minute and address at most; two windows of counting may be met."""
    proxy, process = proxied
    # the header is what counts behind a proxy: it must not pass on what a client has made up
    assert set(guesses(http.client.HTTPConnection("127.0.0.1", process.port), 70)) == {401}
    assert set(guesses(proxy.link(), 70)) == {401, 429}


async def test_what_is_for_inside_stays_inside(proxied: tuple[Proxy, LiveProcess]) -> None:
    proxy, process = proxied
    for path in ("/metrics", "/readyz", "/livez"):
        status, text, _ = await asyncio.to_thread(
            proxy.call, "GET", path, None, {"Authorization": "Bearer token"}
        )
        assert (status, "livesale_" in text) == (404, False)
    # from here, by address, everybody who has the token gets them
    link = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
    link.request("GET", "/metrics", headers={"Authorization": "Bearer token"})
    assert link.getresponse().status == 200
    link.close()
    status, _, _ = await asyncio.to_thread(proxy.call, "POST", "/api/v1/shops/", b"x" * 1_100_000)
    assert status in proxy.too_large
    with pytest.raises(InvalidStatus, match=r"40[34]"):
        await connect(f"wss://{NAME}:{proxy.port}/elsewhere/", host="127.0.0.1", ssl=proxy.trust, proxy=None)


# --- the way of an upgrade ------------------------------------------------------------------------------------------


@dataclass
class Guest:
    """Somebody who talks and listens through the proxy, and comes back when told to."""

    proxy: Proxy
    backstage: Backstage
    person: str
    room: str
    position: int = 0
    epoch: int = 0
    heard: list[int] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    closed: list[int | None] = field(default_factory=list)

    async def stay(self, over: asyncio.Event) -> None:
        command = new_id()
        while not over.is_set():
            wire = Wire(f"wss://{NAME}:{self.proxy.port}/ws/", host="127.0.0.1", ssl=self.proxy.trust)
            cut: Exception | None = None
            async with wire:
                try:
                    await wire.auth(await asyncio.to_thread(self.backstage.ticket, person=self.person))
                    joined = await wire.join(self.room, after=self.position, epoch=self.epoch or None)
                    self.modes.append(joined["mode"])
                    self.epoch = joined["epoch"]
                    while not over.is_set():
                        answer = await wire.ask_for(self.room, "message.send", {"text": "here"}, id=command)
                        if answer["type"] == "ack":
                            self.acknowledged.append(command)
                            command = new_id()
                        else:
                            assert answer["temporary"], answer
                        await asyncio.sleep(0.5)
                except (AssertionError, ConnectionClosed) as error:
                    # closed before the answer came: the same id is asked with again, elsewhere
                    cut = error
            if cut is not None:
                if wire.close_code is None:
                    raise cut
                self.closed.append(wire.close_code)
            self._note(wire)
            byes = [f["retry_after"] for f in wire.frames if f["type"] == "bye"]
            await asyncio.sleep(byes[0] if byes else 0)

    def _note(self, wire: Wire) -> None:
        if self.modes and self.modes[-1] == "resync" and self.position == 0:
            self.position = next(f["seq"] for f in wire.frames if f["type"] == "joined")
            self.heard += range(1, self.position + 1)
        self.heard += [e["seq"] for e in wire.events(self.room)]
        self.position = max([self.position, *(last for _, last in wire.ranges(self.room))])


@pytest.mark.slow
@pytest.mark.faults
async def test_restarted_one_by_one_nobody_loses_anything(
    postgres_server: services.PostgresService, redis_server: services.RedisService
) -> None:
    folder = services.temporary_folder("nginx")
    plain, port = services.free_port(), services.free_port()
    url = postgres_server.create_database("rolling")
    with live_processes(
        2,
        server="uvicorn",
        database_url=url,
        redis_url=redis_server.url,
        env=behind(port),
        server_args=words_of_the_unit(),
    ) as processes:
        proxy = Nginx(folder, processes, plain, port)
        backstage = Backstage(processes[0].env)
        room = backstage.room(owner=backstage.person(name="Olga"))
        guests = [Guest(proxy, backstage, backstage.person(name=f"G{n}"), room) for n in range(6)]
        over = asyncio.Event()
        staying = [asyncio.create_task(guest.stay(over)) for guest in guests]
        await asyncio.sleep(3)
        for process in processes:
            code = await asyncio.to_thread(process.sigterm)
            assert code in (0, -signal.SIGTERM)
            await asyncio.to_thread(process.start)
            await asyncio.sleep(5)
        over.set()
        await asyncio.gather(*staying)
        log = [seq for seq, _, _ in backstage.log(stream=room)]
        backstage.end()
        proxy.end()
        assert "no drift" in await asyncio.to_thread(manage, processes[0].env, "verify")
    services.remove_folder(folder)
    postgres_server.drop_database("rolling")
    # everybody was on some process that ended, and was told so
    assert {code for guest in guests for code in guest.closed} == {4001}
    assert all(guest.closed for guest in guests)
    # an answer that was on its way is not lost, and nothing is there twice
    acknowledged = [command for guest in guests for command in guest.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged)
    assert log == list(range(1, len(log) + 1))
    assert len(acknowledged) <= len(log) <= len(acknowledged) + len(guests)
    for guest in guests:
        assert set(guest.modes[1:]) == {"replay"}
        assert guest.heard == list(range(1, len(guest.heard) + 1))
        assert len(guest.heard) >= len(guest.acknowledged)
