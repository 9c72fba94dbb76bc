"""Real server processes of livesale for tests: N of them, on free ports, that can be killed and started again.

with live_processes(3, server="uvicorn", database_url=…, redis_url=…) as (first, second, third):
    first.kill9()
    first.restart()
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg

from tests import services

ROOT = Path(__file__).resolve().parent.parent
Server = Literal["daphne", "uvicorn"]
ChannelLayer = Literal["memory", "redis", "pubsub"]

_direct = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # a proxy of the shell is not for loopback


class LiveProcess:
    def __init__(
        self,
        *,
        server: Server,
        port: int,
        env: Mapping[str, str],
        folder: Path,
        application: str,
        server_args: tuple[str, ...],
        code: Path = ROOT,
    ) -> None:
        self.server = server
        # where the program lies: another version of it, perhaps
        self._code = code
        self.port = port
        self.origin = self.base_url = f"http://{services.HOST}:{port}"
        self.ws_url = f"ws://{services.HOST}:{port}"
        self.env = dict(env)
        self._log = folder / f"{server}-{port}.log"
        self._application = application
        self._server_args = server_args
        self._program: services.Program | None = None

    @property
    def pid(self) -> int:
        assert self._program is not None, "not started"
        return self._program.pid

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.running

    @property
    def log(self) -> str:
        """What the process (and the earlier ones on this port) wrote so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def spawn(self) -> None:
        """Start without waiting."""
        assert not self.running, "still running"
        if self.server == "daphne":
            words = [
                "daphne",
                "-b",
                services.HOST,
                "-p",
                str(self.port),
                *self._server_args,
                self._application,
            ]
        else:
            words = ["uvicorn", "--host", services.HOST, "--port", str(self.port), "--log-level", "warning"]
            words += [*self._server_args, self._application]
        self._program = services.Program(
            [sys.executable, "-m", *words], log=self._log, env=self.env, cwd=self._code
        )

    def wait_ready(self, seconds: float = 120.0) -> None:
        assert self._program is not None, "not started"
        self._program.wait_until(
            self.is_live, what=f"{self.server} on {self.base_url}/livez", seconds=seconds
        )

    def is_live(self) -> bool:
        try:
            with _direct.open(f"{self.base_url}/livez", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def start(self) -> None:
        self.spawn()
        self.wait_ready()

    def kill9(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._program:
            self._program.end(signal.SIGKILL, 10)

    def sigterm(self, seconds: float = 30.0) -> int:
        """SIGTERM, and wait: the exit code (negative: ended by that signal). SIGKILL after `seconds`."""
        assert self._program is not None, "not started"
        return self._program.end(signal.SIGTERM, seconds)

    def pause(self) -> None:
        """SIGSTOP: sockets stay open and nothing answers."""
        if self._program:
            self._program.signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._program:
            self._program.signal(signal.SIGCONT)

    def restart(self) -> None:
        """SIGKILL when it still runs, then start on the same port."""
        self.kill9()
        self.start()


def environment(
    folder: Path,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    channel_layer: ChannelLayer | None = None,
    origins: list[str] | None = None,
    processes: int = 1,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a livesale process: ours less what a shell or this test run says about livesale."""
    said_here = ("PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "REDIS_URL", "CHANNEL_LAYER", "SECRET_KEY")
    made = {name: value for name, value in os.environ.items() if name not in said_here}
    made |= {
        "DJANGO_SETTINGS_MODULE": "livesale.settings",
        "LIVESALE_DATA": str(folder),
        "DATABASE_URL": database_url or f"sqlite:///{folder / 'livesale.sqlite3'}",
        "CHANNEL_LAYER": channel_layer or ("pubsub" if redis_url else "memory"),
        "SECRET_KEY": "for-tests-only-" + "x" * 40,
        "ALLOWED_HOSTS": f"{services.HOST},localhost",
        "PUBLIC_ORIGINS": ",".join(origins or []),
        "SERVER_PROCESSES": str(processes),
        # the tests' PostgreSQL forgets at a power cut, to be quick; a server would refuse it
        "SILENCED_SYSTEM_CHECKS": "livesale.E008",
        "PYTHONUNBUFFERED": "1",
    }
    if redis_url:
        made["REDIS_URL"] = redis_url
    return made | dict(env or {})


def manage(env: Mapping[str, str], *words: str, seconds: float = 120.0, code: Path = ROOT) -> str:
    """Run a management command in that environment; its output. Fails with the output when it fails."""
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=code, env=dict(env), capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(
            f"manage.py {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


# Migrated once per engine and server, copied afterwards: Django takes seconds for what never differs.
_templates: dict[str, Path | str] = {}


def migrate_like_before(env: Mapping[str, str]) -> None:
    """`manage.py migrate` for a new installation, or a copy of one that was migrated earlier in this test run."""
    url = env.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        database = Path(url.removeprefix("sqlite:///") or Path(env["LIVESALE_DATA"]) / "livesale.sqlite3")
        known = _templates.get("sqlite")
        if isinstance(known, Path) and not database.exists():
            shutil.copyfile(known, database)
            return
        fresh = not database.exists()
        manage(env, "migrate", "--verbosity", "0")
        if fresh:
            kept = Path(tempfile.mkdtemp(prefix="livesale-template-")) / database.name
            atexit.register(shutil.rmtree, kept.parent, ignore_errors=True)
            with sqlite3.connect(database) as from_, sqlite3.connect(kept) as to:
                from_.backup(to)
            _templates["sqlite"] = kept
        return
    server, name = url.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as link, psycopg.connect(url) as inside:
        tables = inside.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1").fetchone()
        inside.close()
        known = _templates.get(server)
        if known is not None and tables is None:
            link.execute(f'DROP DATABASE "{name}"')
            link.execute(f'CREATE DATABASE "{name}" TEMPLATE "{known}"')
            return
        manage(env, "migrate", "--verbosity", "0")
        if tables is None:
            kept_name = f"template_{os.getpid()}"
            link.execute(f'CREATE DATABASE "{kept_name}" TEMPLATE "{name}"')
            _templates[server] = kept_name


@contextmanager
def live_processes(
    count: int = 1,
    *,
    server: Server = "daphne",
    database_url: str | None = None,
    redis_url: str | None = None,
    channel_layer: ChannelLayer | None = None,
    env: Mapping[str, str] | None = None,
    migrate: bool = True,
    application: str = "livesale.asgi:application",
    server_args: tuple[str, ...] = (),
) -> Iterator[list[LiveProcess]]:
    """`count` processes of one installation, ready to answer. Without URLs: SQLite and the in-memory layer.

    All share one SECRET_KEY and data folder; each one's origin is in PUBLIC_ORIGINS. They are stopped on the way out.
    """
    folder = services.temporary_folder("live")
    ports: list[int] = []
    while len(ports) < count:
        if (port := services.free_port()) not in ports:
            ports.append(port)
    made = environment(
        folder,
        database_url=database_url,
        redis_url=redis_url,
        channel_layer=channel_layer,
        origins=[f"http://{host}:{port}" for port in ports for host in (services.HOST, "localhost")],
        processes=count,
        env=env,
    )
    started = [
        LiveProcess(
            server=server,
            port=port,
            env=made,
            folder=folder,
            application=application,
            server_args=server_args,
        )
        for port in ports
    ]
    try:
        if migrate:
            migrate_like_before(made)
        for process in started:
            process.spawn()
        for process in started:
            process.wait_ready()
        yield started
    finally:
        for process in started:
            process.kill9()
        services.remove_folder(folder)
