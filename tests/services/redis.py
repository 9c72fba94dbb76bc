"""Redis servers of our own, and one that is there already."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Protocol

import redis

from tests.services.ports import HOST, free_port
from tests.services.programs import MissingPart, Program, refuse, remove_folder, temporary_folder


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
        refuse("kill, pause or restart", "TEST_REDIS_URL")

    restart = pause = resume = kill

    def flushall(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()  # only ours: the server may hold more


def start_redis() -> RedisService:
    named = os.environ.get("TEST_REDIS_URL")
    return NamedRedis(named) if named else RedisServer()
