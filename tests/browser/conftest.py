"""One server and one browser for all of these tests. Each test makes a world of its own in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import processes
from tests.browser.people import WAIT, MakeWorld, Person, World


@pytest.fixture(scope="package")
def server() -> Iterator[processes.LiveProcess]:
    with processes.live_processes(1, server="daphne") as (server,):
        yield server


# Not for the whole session: Playwright keeps an event loop in this thread as long as it runs.
@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        args = [
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        opened = playwright.chromium.launch(executable_path=chromium_path, args=args)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def make_world(server: processes.LiveProcess) -> Iterator[MakeWorld]:
    """`make_world("market", "live", "picture")`: people, a shop and a sale, see `world.py`."""
    command = [sys.executable, "-m", "tests.browser.world"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=processes.ROOT, env=server.env, stdin=pipe, stdout=pipe, text=True
    ) as maker:
        asked, told = maker.stdin, maker.stdout
        assert asked is not None
        assert told is not None

        def make(*words: str) -> World:
            print(*words, file=asked, flush=True)
            line = told.readline()
            assert line, "no world was made: see standard error"
            world: World = json.loads(line)
            return world

        yield make
        asked.close()


@pytest.fixture
def person(browser: Browser, server: processes.LiveProcess) -> Iterator[Callable[..., Person]]:
    """`person("anna", **PHONE)`; everybody leaves when the test is over."""
    there: list[Person] = []

    def come(name: str, **device: Any) -> Person:
        there.append(Person(browser, server, name, **device))
        return there[-1]

    yield come
    for somebody in there:
        somebody.leave()
