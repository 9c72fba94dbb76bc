"""Programs that tests start, and what becomes of them: none outlives the test run."""

from __future__ import annotations

import atexit
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class MissingPart(RuntimeError):
    """A real program that the tests need is not installed."""


def refuse(what: str, variable: str) -> None:
    raise RuntimeError(
        f"cannot {what} the server that {variable} names; unset it and the tests start their own"
    )


def wait_until(ready: Callable[[], Any], *, what: str, seconds: float = 20.0, pause: float = 0.02) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if answer := ready():
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


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


def remember_process(pid: int) -> None:
    """End it when this process is gone."""
    _reaper.tell("+", "pid", pid)


def forget_process(pid: int) -> None:
    """It has ended: its number may be another's soon."""
    _reaper.tell("-", "pid", pid)


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
        remember_process(self.pid)

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
        forget_process(self.pid)
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
