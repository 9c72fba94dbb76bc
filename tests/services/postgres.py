"""PostgreSQL servers of our own, and one that is there already."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.services.ports import HOST, free_port
from tests.services.programs import MissingPart, Program, refuse, remove_folder, temporary_folder, wait_until


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
        wait_until(lambda: not processes_in(self._data), what="the killed server's backends", seconds=20)

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
            wait_until(lambda: not processes_in(self._data), what="postgres backends", seconds=10)
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
        refuse("kill or restart", "TEST_DATABASE_URL")

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


def processes_in(folder: Path) -> list[int]:
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
