"""`manage.py demo` as a person uses it: start, look, stop, start again."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import signing
from websockets.asyncio.client import connect

from tests import processes, services

SECRET = "for-tests-only-" + "x" * 40
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Demo:
    """A demo's process and what it prints."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self.folder = folder
        self.port = services.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = processes.environment(folder, env={"SECRET_KEY": SECRET, **env})
        self._log = folder / f"demo-{self.port}.log"
        command = [sys.executable, "manage.py", "demo", "--port", str(self.port), *words]
        self._program = services.Program(command, log=self._log, env=self.env, cwd=processes.ROOT)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float) -> None:
        self._program.wait_until(lambda: text in self.said, what=f"“{text}” on the terminal", seconds=seconds)

    @property
    def room(self) -> str:
        return re.findall(r"/r/([0-9a-f-]{36})/", self.said)[0]

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with _direct.open(self.url + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def children(self) -> list[str]:
        """Processes of the crowd that serve this demo."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            if "livesale.demo.crowd" in words and self.url in words:
                found.append(words)
        return found

    def end(self, number: int) -> tuple[int, float]:
        started = time.monotonic()
        return self._program.end(number, 40), time.monotonic() - started

    def kill(self) -> None:
        self._program.end(signal.SIGKILL, 10)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = services.temporary_folder("demo")
    yield made
    services.remove_folder(made)


async def _hear(demo: Demo, wanted: set[str], seconds: float, token: str = "", act: Any = None) -> None:
    """Follow the room until all these kinds of events were heard."""
    async with (
        asyncio.timeout(seconds),
        connect(demo.url.replace("http", "ws") + "/ws/", proxy=None, max_size=None) as socket,
    ):
        if token:
            await socket.send(json.dumps({"type": "auth", "resume": token}))
        await socket.send(json.dumps({"type": "join", "streams": [{"stream": demo.room}]}))
        missing = set(wanted)
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "joined" and act is not None:
                await act(socket, frame["snapshot"])
            if frame["type"] == "events":
                missing -= {e["kind"] for e in frame["events"]}
            if not missing:
                return


def _host_token(demo: Demo) -> str:
    with sqlite3.connect(demo.folder / "livesale.sqlite3") as database:
        row = database.execute("SELECT id, auth_version FROM accounts_user WHERE email = 'host@demo.local'")
        person, version = row.fetchone()
    made = [person.replace("-", ""), version, "", int(time.time() * 1000)]
    return signing.dumps(made, key=SECRET, salt="livesale.resume")


async def _feature_last(socket: Any, snapshot: dict[str, Any]) -> None:
    offer = snapshot["public"]["sale"]["offers"][-1]["offer"]
    frame = {"type": "do", "id": _uuid7(), "stream": snapshot["stream"], "name": "offer.feature"}
    await socket.send(json.dumps({**frame, "body": {"offer": offer}}))


def _uuid7() -> str:
    from uuid_utils import uuid7

    return str(uuid7())


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_evening(folder: Path) -> None:
    demo = Demo(folder, "--crowd", "8", "--pace", "8")
    try:
        demo.wait_for("Ctrl-C", 100)
        for expected in (
            "running at",
            "host@demo.local",
            "a-quiet-evening",
            "/host/",
            "drawing pictures 20/20",
        ):
            assert expected in demo.said
        status, body = demo.get(f"/api/v1/streams/{demo.room}/snapshot/")
        snapshot = json.loads(body)
        sale = snapshot["public"]["sale"]
        assert status == 200 and sale["state"] == "live" and sale["featured"] and len(sale["offers"]) > 15
        assert sum(o["drop"] is not None for o in sale["offers"]) == 1
        for address in (sale["video"]["poster"], sale["offers"][0]["image"]["480"]):
            status, body = demo.get(address)
            assert status == 200 and body[8:12] == b"WEBP"
        # 503: the pages have not been built here
        assert demo.get(f"/r/{demo.room}/")[0] in {200, 503}
        await _hear(demo, {"message.sent", "offer.claimed"}, 40)
        assert demo.children()
        # somebody acts as the host: the script leaves it to them
        await _hear(demo, {"sale.changed"}, 30, _host_token(demo), _feature_last)
        demo.wait_for("stepping back", 30)
        code, seconds = demo.end(signal.SIGINT)
        assert code == 0 and seconds < 20, demo.said
        assert not demo.children()
        assert "Traceback" not in demo.said and "rror" not in demo.said, demo.said
    finally:
        demo.kill()
    assert "no drift" in processes.manage(demo.env, "verify")

    again = Demo(folder, "--crowd", "3", "--pace", "8")
    try:
        again.wait_for("Ctrl-C", 60)
        assert again.room == demo.room
        assert "drawing" not in again.said
        await _hear(again, {"message.sent"}, 40)
        code, seconds = again.end(signal.SIGTERM)
        assert code == 0 and seconds < 20, again.said
        assert not again.children()
        assert "Traceback" not in again.said, again.said
    finally:
        again.kill()
    processes.manage(demo.env, "verify")

    killed = Demo(folder, "--crowd", "6", "--pace", "8")
    try:
        killed.wait_for("Ctrl-C", 60)
        await _hear(killed, {"message.sent"}, 40)
    finally:
        killed.kill()
    services.wait_until(lambda: not killed.children(), what="the end of a killed demo's crowd", seconds=30)


def test_a_port_in_use_is_a_sentence(folder: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "manage.py", "demo", "--port", port],
            cwd=processes.ROOT,
            env=processes.environment(folder),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr and "Traceback" not in done.stderr


def test_reset_leaves_what_is_not_the_demos(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.management.base import CommandError

    from livesale.demo import place

    database = tmp_path / "livesale.sqlite3"
    settings.DATA_DIR, settings.MEDIA_ROOT = tmp_path, tmp_path / "media"
    monkeypatch.setattr(place, "database_file", lambda: database)
    kept = tmp_path / "somebody-elses.txt"
    kept.write_text("kept")
    database.write_text("a real shop")
    with pytest.raises(CommandError, match="not made by the demo"):
        place.reset()
    assert database.exists()

    place.mark()
    (tmp_path / "media" / "shops" / "one").mkdir(parents=True)
    place.reset()
    assert not database.exists() and not (tmp_path / "media" / "shops").exists()
    assert kept.read_text() == "kept"
    monkeypatch.setattr(place, "database_file", lambda: None)
    with pytest.raises(CommandError, match="yourself"):
        place.reset()


def test_the_demo_opens_to_the_house(settings: Any) -> None:
    from livesale.accounts.identity import OriginGuard
    from livesale.demo import place

    settings.PUBLIC_ORIGINS = []
    place.admit(["http://localhost:8000", "http://192.0.2.7:8000"], ["192.0.2.7"])
    guard = OriginGuard()
    assert guard.origin_allowed("http://192.0.2.7:8000", "192.0.2.7:8000", False)
    assert guard.origin_allowed("http://localhost:8000", "localhost:8000", False)
    assert not guard.origin_allowed("http://evil.example", "192.0.2.7:8000", False)
    assert "192.0.2.7" in settings.ALLOWED_HOSTS and settings.CSRF_TRUSTED_ORIGINS == settings.PUBLIC_ORIGINS
