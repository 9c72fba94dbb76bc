"""Real Redis and PostgreSQL servers for tests, on free ports, with their data in temporary folders.

A part that is missing is an error, never a skip: a green run means the real thing ran. `TEST_REDIS_URL` and
`TEST_DATABASE_URL` name servers that are already there; those cannot be killed, and a test that wants to fails.
Nothing outlives the test run, not even one that is killed with SIGKILL: see `Reaper`.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

HOST = "127.0.0.1"


class MissingPart(RuntimeError):
    """A real program that the tests need is not installed."""


# Ports are bound a while after they were chosen, and bound again after a kill: runs beside each other, and the workers
# of one, choose from different ones, and nobody chooses one twice.
_SHARES = 16
_chosen: set[int] = set()


def _share() -> int:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    half = _SHARES // 2
    return int(worker) % half if worker.isdigit() else half + os.getpid() % half


def free_port() -> int:
    """A free port below the range that outgoing connections take theirs from: it can be bound again after a kill."""
    if len(_chosen) > 500:
        # most of those have ended long ago
        _chosen.clear()
    for _ in range(400):
        port = random.randint(20_000 // _SHARES, 32_000 // _SHARES - 1) * _SHARES + _share()
        if port in _chosen:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _chosen.add(port)
        return port
    raise RuntimeError("no free port found")


def wait_until(ready: Callable[[], Any], *, what: str, seconds: float = 20.0, pause: float = 0.02) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if answer := ready():
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


# --- nothing is left behind ---------------------------------------------------------------------------------------

_REAPER = """
import os, shutil, signal, sys
pids, folders = set(), set()
for line in sys.stdin:
    sign, kind, what = line.rstrip("\\n").split(" ", 2)
    known = pids if kind == "pid" else folders
    (known.add if sign == "+" else known.discard)(what)
for pid in pids:
    try: os.kill(int(pid), signal.SIGKILL)
    except ProcessLookupError: pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Reaper:
    """A helper process that ends our servers and removes their folders when this process is gone, however it went.

    It reads from a pipe; the kernel closes the pipe when we end.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def end(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def tell(self, sign: str, kind: str, what: object) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _REAPER],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            atexit.register(self.end)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{sign} {kind} {what}\n")
        self._process.stdin.flush()


_reaper = Reaper()


def temporary_folder(prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"livesale-{prefix}-"))
    _reaper.tell("+", "dir", folder)
    return folder


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _reaper.tell("-", "dir", folder)


class Program:
    """One child process in a session of its own, with its output in a file."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        user: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=env,
                cwd=cwd,
                **identity,
            )
        self.pid = self._process.pid
        _reaper.tell("+", "pid", self.pid)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        if self.running:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        code = self._process.wait(seconds)
        _reaper.tell("-", "pid", self.pid)
        return code

    def end(self, number: int, seconds: float) -> int:
        """Send a signal and wait; SIGKILL when that takes too long."""
        self.signal(number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.wait(10)

    def wait_until(self, ready: Callable[[], Any], *, what: str, seconds: float = 30.0) -> None:
        """Like the function; also gives up at once, with the program's own words, when it has ended."""

        def ready_or_ended() -> bool:
            if not self.running:
                raise RuntimeError(f"{what}: ended with code {self._process.returncode}\n{self.text[-4000:]}")
            return bool(ready())

        try:
            wait_until(ready_or_ended, what=what, seconds=seconds)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.text[-4000:]}") from None


def _refuse(what: str, variable: str) -> None:
    raise RuntimeError(
        f"cannot {what} the server that {variable} names; unset it and the tests start their own"
    )


# --- Redis --------------------------------------------------------------------------------------------------------


class RedisService(Protocol):
    url: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def flushall(self) -> None: ...
    def heal(self) -> None: ...


class RedisServer:
    """`redis-server` without persistence: a restart comes back empty."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if not program:
            raise MissingPart(
                "redis-server is not installed (`make test` does that) and TEST_REDIS_URL names none"
            )
        self._path = program
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.folder = temporary_folder("redis")
        self._program: Program | None = None
        self.start()

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.running

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        if self.running:
            return
        options = {"port": self.port, "bind": HOST, "dir": self.folder, "appendonly": "no", "daemonize": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._program = Program([self._path, *words, "--save", ""], log=self.folder / "log")
        self._program.wait_until(self._answers, what="redis-server")

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self._program:
            self._program.end(signal.SIGKILL, 10)

    def restart(self) -> None:
        """Kill (when it runs) and start again on the same port, empty."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: the port accepts connections and nothing answers."""
        if self._program:
            self._program.signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._program:
            self._program.signal(signal.SIGCONT)

    def flushall(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def heal(self) -> None:
        """Running and answering again, whatever a test did to it."""
        self.resume()
        self.start()

    def stop(self) -> None:
        self.kill()
        remove_folder(self.folder)


class NamedRedis:
    """The server of TEST_REDIS_URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        pass

    stop = heal = start

    def kill(self) -> None:
        _refuse("kill, pause or restart", "TEST_REDIS_URL")

    restart = pause = resume = kill

    def flushall(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()  # only ours: the server may hold more


def start_redis() -> RedisService:
    named = os.environ.get("TEST_REDIS_URL")
    return NamedRedis(named) if named else RedisServer()


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


class PostgresService(Protocol):
    def url(self, dbname: str = "postgres") -> str: ...
    def create_database(self, name: str) -> str: ...
    def drop_database(self, name: str) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def heal(self) -> None: ...


class _Databases:
    def url(self, dbname: str = "postgres") -> str:
        raise NotImplementedError

    def _run(self, *statements: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_database(self, name: str) -> str:
        """An empty database of that name (an older one is dropped); its URL."""
        self.drop_database(name)
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class PostgresServer(_Databases):
    """A cluster of its own. The postmaster is our direct child, so `kill()` is `kill -9` of the postmaster.

    `durable=False` leaves out fsync: faster, and a killed server still keeps what it committed, because the kernel
    holds the written pages. `durable=True` is for measuring and for tests about the disk.
    """

    def __init__(self, *, durable: bool = False, options: dict[str, str] | None = None) -> None:
        self._bin = _postgres_bin()
        # PostgreSQL refuses to run as root; the Debian package brings a user for it.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._name = self._user or "postgres"
        self.port = free_port()
        self.folder = temporary_folder("postgres")
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        self._data = self.folder / "data"
        self._options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "fsync": "on" if durable else "off",
            "full_page_writes": "on" if durable else "off",
            **(options or {}),
        }
        self._program: Program | None = None
        self._initdb()
        self.start()

    def _initdb(self) -> None:
        flags = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(
            [str(self._bin / "initdb"), "-D", str(self._data), *flags],
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.running

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def url(self, dbname: str = "postgres") -> str:
        return f"postgres://postgres@{HOST}:{self.port}/{dbname}"

    def start(self) -> None:
        if self.running:
            return
        words = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self._data), *words]
        self._wait_for_old_backends()
        self._program = Program(command, log=self.folder / "log", user=self._user, cwd=self.folder)
        self._program.wait_until(self._answers, what="postgres")

    def _wait_for_old_backends(self) -> None:
        """After a kill -9 the old backends end by themselves; until then a new postmaster refuses their memory."""
        wait_until(lambda: not _processes_in(self._data), what="the killed server's backends", seconds=20)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url(), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """SIGKILL to the postmaster, at once: no checkpoint, no goodbye."""
        if self._program:
            self._program.end(signal.SIGKILL, 10)

    def restart(self) -> None:
        self.kill()
        self.start()

    heal = start

    def stop(self) -> None:
        if self._program:
            self._program.end(signal.SIGQUIT, 10)  # immediate shutdown: the data goes away anyway
            wait_until(lambda: not _processes_in(self._data), what="postgres backends", seconds=10)
        remove_folder(self.folder)


class NamedPostgres(_Databases):
    """The server of TEST_DATABASE_URL; its user must be allowed to create databases."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, dbname: str = "") -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{dbname}")) if dbname else self._url

    def start(self) -> None:
        pass

    stop = heal = start

    def kill(self) -> None:
        _refuse("kill or restart", "TEST_DATABASE_URL")

    restart = kill


def _postgres_bin() -> Path:
    """Debian keeps the server's programs out of PATH, by version: the newest."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(debian, key=lambda path: int(path.parts[4]) if path.parts[4].isdigit() else 0)
    if found:
        return found[-1].parent
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise MissingPart("PostgreSQL is not installed (`make test` does that) and TEST_DATABASE_URL names none")


def _processes_in(folder: Path) -> list[int]:
    """Processes whose working directory is the folder (a PostgreSQL backend works in its data folder)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                found.append(int(entry.parts[2]))
        except OSError:
            continue
    return found


def start_postgres(*, durable: bool = False, options: dict[str, str] | None = None) -> PostgresService:
    named = os.environ.get("TEST_DATABASE_URL")
    return NamedPostgres(named) if named else PostgresServer(durable=durable, options=options)


# --- the browser --------------------------------------------------------------------------------------------------


def find_chromium() -> str:
    names = [os.environ.get("TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    for path in filter(None, (shutil.which(name) for name in names if name)):
        return path
    raise MissingPart("Chromium is not installed (`make test` does that) and TEST_CHROMIUM names none")
