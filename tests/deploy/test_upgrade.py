"""Pages keep their scripts while another version is built and started beside the processes that serve them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import services
from tests.processes import ROOT, LiveProcess, environment, manage, migrate_like_before
from tests.rest.live import Browser

FILES = r'"(/static/assets/[^"]+\.(?:js|css))"'


@dataclass
class Installation:
    """The program in a folder of its own, whose pages a test may build anew."""

    code: Path
    process: LiveProcess

    @property
    def pages(self) -> Path:
        return self.code / "frontend" / "dist"

    def collect(self) -> None:
        manage(self.process.env, "collectstatic", "--noinput", "--verbosity", "0", code=self.code)

    def build(self, name: str, text: str) -> str:
        """What `make build` does: the folder is emptied, and has other files then; the address of one."""
        manifest = (self.pages / ".vite" / "manifest.json").read_text()
        shutil.rmtree(self.pages)
        (self.pages / "assets").mkdir(parents=True)
        (self.pages / "assets" / name).write_text(text)
        (self.pages / ".vite").mkdir()
        (self.pages / ".vite" / "manifest.json").write_text(manifest)
        return f"/static/assets/{name}"

    def status(self, path: str) -> int:
        return Browser(self.process).call("GET", path)[0]

    def files_of_the_page(self) -> set[str]:
        status, page = Browser(self.process).call("GET", "/")
        assert status == 200
        return set(re.findall(FILES, page))


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    code, data = tmp_path / "code", tmp_path / "data"
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("chat", "commerce", "livesale", "frontend/dist"):
        shutil.copytree(ROOT / name, code / name, ignore=unwanted)
    shutil.copy(ROOT / "manage.py", code)
    data.mkdir()
    port = services.free_port()
    env = environment(data, origins=[f"http://{services.HOST}:{port}"])
    # another folder's program, not ours
    env["PYTHONPATH"] = str(code)
    migrate_like_before(env)
    process = LiveProcess(
        server="uvicorn",
        port=port,
        env=env,
        folder=tmp_path,
        application="livesale.asgi:application",
        server_args=(),
        code=code,
    )
    yield Installation(code, process)
    process.kill9()


def test_a_page_keeps_its_files_while_the_next_version_is_built(installation: Installation) -> None:
    installation.collect()
    installation.process.start()
    before = installation.files_of_the_page()
    assert before
    new = installation.build("home-NEWHASH1.js", "export {}")
    # the page is as old as its process, and so are its files
    assert installation.files_of_the_page() == before
    assert {installation.status(path) for path in before} == {200}
    # the next version's page may ask us for its files as soon as they are collected
    assert installation.status(new) == 404
    installation.collect()
    assert {installation.status(path) for path in (new, *before)} == {200}
    # what lies elsewhere is not found by a long way round
    for path in ("/static/../livesale.sqlite3", "/static/assets", "/static/%2e%2e/livesale.sqlite3"):
        assert installation.status(path) == 404
    installation.process.restart()
    assert {installation.status(path) for path in (new, *before)} == {200}


def test_without_collected_files_they_are_served_from_where_they_are(installation: Installation) -> None:
    installation.process.start()
    files = installation.files_of_the_page()
    assert files
    assert {installation.status(path) for path in files} == {200}
