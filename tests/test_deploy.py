"""What is in deploy/ fits the code: real nginx with the sample and TLS; units and settings by name."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from livesale.checks import FRAME_BYTES, frame_limit
from tests import services
from tests.processes import ROOT, LiveProcess, environment, live_processes, manage
from tests.wire.backstage import Backstage
from tests.wire.client import Wire, new_id

DEPLOY = ROOT / "deploy"
NAME = "shop.example"
PASSWORD = "a long enough one 7"


# --- nginx ----------------------------------------------------------------------------------------------------------


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Proxy:
    """nginx with the sample: only names, ports and paths are others."""

    def __init__(self, folder: Path, processes: Sequence[LiveProcess], plain: int, port: int) -> None:
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise services.MissingPart("nginx is not installed (`make test` does that)")
        self.port, self.plain = port, plain
        certificate, key = make_certificate(folder)
        self.trust = ssl.create_default_context(cafile=str(certificate))
        sample = (DEPLOY / "nginx" / "livesale.conf").read_text()
        # as many lines as there are processes, each with what the sample says behind the port
        each = "".join(rf"    server 127.0.0.1:{process.port}\1\n" for process in processes)
        for said, here in (
            (r"(?:    server 127\.0\.0\.1:\d+([^\n]*)\n)+", each),
            (r"listen 80;", f"listen 127.0.0.1:{plain};"),
            (r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            (r"    listen \[::\][^\n]*\n", ""),
            (r"/etc/letsencrypt/\S+/fullchain\.pem", str(certificate)),
            (r"/etc/letsencrypt/\S+/privkey\.pem", str(key)),
        ):
            sample, count = re.subn(said, here, sample)
            assert count, said
        (folder / "livesale.conf").write_text(sample)
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        # one process: however a test ends, no worker outlives it
        main = folder / "nginx.conf"
        main.write_text(
            f"{user}\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nworker_processes 1;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}\ninclude {folder}/livesale.conf;\n}}\n"
        )
        self._program = services.Program(
            [program, "-c", str(main), "-p", str(folder), "-e", "stderr", "-g", "daemon off;"],
            log=folder / "log",
        )
        self._program.wait_until(lambda: self.call("GET", "/robots.txt")[0] == 200, what="nginx")

    def end(self) -> None:
        self._program.end(signal.SIGTERM, 10)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer over TLS, as a browser at https://shop.example gets it."""
        link = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.untrusting(), timeout=20)
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        sent = {"Host": f"{NAME}:{self.port}", "Content-Type": "application/json", **(headers or {})}
        try:
            link.request(method, path, body=data, headers=sent)
            answer = link.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        except (ConnectionError, ssl.SSLError) as error:
            return 0, str(error), http.client.HTTPMessage()
        finally:
            link.close()

    def untrusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"


def behind(port: int) -> dict[str, str]:
    """The settings of a process behind the proxy on that port."""
    return {
        "ALLOWED_HOSTS": NAME,
        "PUBLIC_ORIGINS": f"https://{NAME}:{port}",
        "BEHIND_TLS": "1",
        "TRUSTED_PROXIES": "1",
        "METRICS_TOKEN": "token",
    }


def words_of_the_unit() -> tuple[str, ...]:
    """What the systemd unit tells uvicorn beside its address."""
    unit = (DEPLOY / "systemd" / "livesale@.service").read_text().replace("\\\n", " ")
    words = re.search(r"uvicorn livesale\.asgi:application --host \S+ --port %i (.*)", unit)
    assert words is not None
    return tuple(words[1].split())


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[Proxy, LiveProcess]]:
    folder = services.temporary_folder("nginx")
    plain, port = services.free_port(), services.free_port()
    with live_processes(1, server="uvicorn", env=behind(port), server_args=words_of_the_unit()) as (process,):
        proxy = Proxy(folder, [process], plain, port)
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


async def test_pages_rest_and_sockets_through_nginx(proxied: tuple[Proxy, LiveProcess]) -> None:
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
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/host/")
    link.close()


def guesses(port: int, count: int, context: ssl.SSLContext | None = None) -> list[int]:
    """The statuses of guessed keys, every time from another address, if one believes what the headers say."""
    link: http.client.HTTPConnection = (
        http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        if context
        else http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    )
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
    # the header is what counts behind a proxy: nginx must not pass on what a client has made up
    assert set(guesses(process.port, 70)) == {401}
    assert set(guesses(proxy.port, 70, proxy.untrusting())) == {401, 429}


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
    assert status == 413
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
        proxy = Proxy(folder, processes, plain, port)
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


# --- everything else, by reading it -----------------------------------------------------------------------------------


def settings_in_code() -> set[str]:
    """The variables of the environment that settings read."""
    text = (ROOT / "livesale" / "settings.py").read_text()
    named = re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', text) + re.findall(
        r'os\.environ\.get\("([A-Z_]+)"', text
    )
    return set(named) - {"DJANGO_SETTINGS_MODULE"}


def test_every_setting_of_the_sample_is_one() -> None:
    text = (DEPLOY / "livesale.env.sample").read_text()
    said = {line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert said
    assert said <= settings_in_code()


def test_the_sample_passes_its_own_check(tmp_path: Path) -> None:
    """Filled in as it says, it is what `check --deploy` asks for; as it is, the empty key is refused."""
    text = (DEPLOY / "livesale.env.sample").read_text()
    said = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    env = {
        **os.environ,
        **said,
        "LIVESALE_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "livesale.settings",
    }
    words = ("check", "--deploy", "--tag", "livesale")
    with pytest.raises(RuntimeError, match=r"livesale\.E010"):
        manage(env, *words)
    assert "no issues" in manage({**env, "SECRET_KEY": "x" * 50}, *words)


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
    assert explained == settings_in_code()


@pytest.mark.parametrize("path", ["systemd/livesale@.service", "container/Dockerfile"])
def test_frames_are_bounded_where_servers_are_started(path: str) -> None:
    text = re.sub(r'[\\",]', " ", (DEPLOY / path).read_text())
    words = re.search(r"uvicorn +livesale\.asgi:application.*?(?=\n\S|\Z)", text, re.DOTALL)
    assert words is not None
    limit = frame_limit(words[0].split())
    assert limit is not None
    assert limit <= FRAME_BYTES
    for word in ("--no-proxy-headers", "--no-access-log", "--ws-per-message-deflate"):
        assert word in words[0].split()


def test_a_migration_does_not_wait_for_a_busy_table(postgres_url: str, tmp_path: Path) -> None:
    """Whoever waits for a table keeps everybody behind out of it: the unit gives up soon, and tries again."""
    unit = (DEPLOY / "systemd" / "livesale-migrate.service").read_text()
    said = re.search(r'^Environment="PGOPTIONS=(.*lock_timeout=\d+s)"$', unit, re.MULTILINE)
    assert said is not None
    assert "Restart=on-failure" in unit
    env = environment(tmp_path, database_url=postgres_url)
    manage(env, "migrate", "--verbosity", "0")
    with psycopg.connect(postgres_url) as busy:
        busy.execute("SELECT count(*) FROM audit_entry")
        env["PGOPTIONS"] = re.sub(r"\d+s", "500ms", said[1])
        with pytest.raises(RuntimeError, match="lock timeout"):
            manage(env, "migrate", "chat", "0001_initial")
    manage(env, "migrate", "--verbosity", "0")


def test_units_name_commands_that_exist() -> None:
    commands = {path.stem for path in (ROOT / "livesale" / "management" / "commands").glob("[a-z]*.py")}
    commands |= {"migrate", "check", "collectstatic", "clearsessions"}
    found = set()
    for unit in (DEPLOY / "systemd").glob("*.service"):
        found |= set(re.findall(r"manage\.py (\w+)", unit.read_text()))
    assert {"backup", "verify", "migrate", "check"} <= found
    assert found <= commands
