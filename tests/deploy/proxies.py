"""The samples of proxies in deploy/, run for real: only names, ports and paths are others."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import services
from tests.processes import ROOT, LiveProcess

DEPLOY = ROOT / "deploy"
NAME = "shop.example"


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


class Link(http.client.HTTPSConnection):
    """To https://shop.example, which is here."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        super().__init__(NAME, port, context=trust, timeout=20)
        self._trust = trust

    def connect(self) -> None:
        there = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._trust.wrap_socket(there, server_hostname=NAME)


class Proxy:
    """A proxy with its sample, in front of some processes."""

    name: str
    # how a body is refused that is larger than anything here takes
    too_large: frozenset[int] = frozenset({413})

    def __init__(self, folder: Path, processes: Sequence[LiveProcess], plain: int, port: int) -> None:
        program = shutil.which(self.name, path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise services.MissingPart(f"{self.name} is not installed (`make test` does that)")
        self.port, self.plain = port, plain
        certificate, key = make_certificate(folder)
        self.trust = ssl.create_default_context(cafile=str(certificate))
        command = [program, *self.prepare(folder, [p.port for p in processes], certificate, key)]
        self._program = services.Program(command, log=folder / "log", env={**os.environ, "HOME": str(folder)})
        try:
            self._program.wait_until(lambda: self.call("GET", "/robots.txt")[0] == 200, what=self.name)
        except BaseException:
            self.end()
            raise

    def prepare(self, folder: Path, ports: list[int], certificate: Path, key: Path) -> list[str]:
        """Write what the program reads, and say how it is started."""
        raise NotImplementedError

    def end(self) -> None:
        self._program.end(signal.SIGTERM, 10)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer over TLS, as a browser at https://shop.example gets it."""
        link = self.link()
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

    def link(self) -> Link:
        return Link(self.port, self.trust)

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"


def adapted(sample: str, changes: Sequence[tuple[str, str]]) -> str:
    for said, here in changes:
        sample, count = re.subn(said, here, sample)
        assert count, said
    return sample


class Nginx(Proxy):
    name = "nginx"

    def prepare(self, folder: Path, ports: list[int], certificate: Path, key: Path) -> list[str]:
        # as many lines as there are processes, each with what the sample says behind the port
        each = "".join(rf"    server 127.0.0.1:{port}\1\n" for port in ports)
        sample = adapted(
            (DEPLOY / "nginx" / "livesale.conf").read_text(),
            [
                (r"(?:    server 127\.0\.0\.1:\d+([^\n]*)\n)+", each),
                (r"listen 80;", f"listen 127.0.0.1:{self.plain};"),
                (r"listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
                (r"    listen \[::\][^\n]*\n", ""),
                (r"/etc/letsencrypt/\S+/fullchain\.pem", str(certificate)),
                (r"/etc/letsencrypt/\S+/privkey\.pem", str(key)),
            ],
        )
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
        return ["-c", str(main), "-p", str(folder), "-e", "stderr", "-g", "daemon off;"]


class Caddy(Proxy):
    name = "caddy"
    # 2.6 notices while it passes the body on, and calls that a fault of the other side
    too_large = frozenset({413, 502})

    def prepare(self, folder: Path, ports: list[int], certificate: Path, key: Path) -> list[str]:
        here = (
            f"\tadmin off\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n"
            f"\thttp_port {self.plain}\n\thttps_port {self.port}\n\tstorage file_system {folder}/storage\n"
        )
        site = adapted(
            (DEPLOY / "caddy" / "Caddyfile").read_text(),
            [
                (r"(?m)^\{\n", "{\n" + here),
                (r"shop\.example \{\n", f"{NAME} {{\n\ttls {certificate} {key}\n"),
                (
                    r"reverse_proxy (127\.0\.0\.1:\d+ ?)+",
                    "reverse_proxy " + " ".join(f"127.0.0.1:{port}" for port in ports) + " ",
                ),
            ],
        )
        (folder / "Caddyfile").write_text(site)
        return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


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
