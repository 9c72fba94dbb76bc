"""A process works on so many requests at a time; the others wait a moment, or are told to come again."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest

from livesale import admission
from livesale.admission import Admission
from tests.processes import LiveProcess
from tests.rest.live import Browser
from tests.services import PostgresService, wait_until


class Site:
    """What stands behind the door: each request stays until it is let go."""

    def __init__(self, at_once: int, patience: float = 30.0) -> None:
        self.door = Admission(self.serve, at_once, always={"/livez"}, patience=patience)
        self.inside: list[str] = []
        self.most = 0
        self.go = asyncio.Event()
        self.breaks = False

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.append(scope["path"])
        self.most = max(self.most, len(self.inside))
        try:
            await self.go.wait()
            if self.breaks:
                raise RuntimeError("a view failed")
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            self.inside.remove(scope["path"])

    async def ask(self, path: str) -> tuple[int, dict[bytes, bytes], bytes]:
        said: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        await self.door({"type": "http", "path": path, "root_path": "", "headers": []}, receive, send)
        body = b"".join(message.get("body", b"") for message in said)
        return said[0]["status"], dict(said[0]["headers"]), body


@pytest.fixture(autouse=True)
def _counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "counts", admission.Counts())


@asynccontextmanager
async def asking(site: Site, paths: list[str]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    asked = [asyncio.create_task(site.ask(path)) for path in paths]
    for _ in range(5):
        await asyncio.sleep(0)
    yield asked
    await asyncio.gather(*asked, return_exceptions=True)


async def test_no_more_than_so_many_at_a_time_and_all_have_their_turn():
    site = Site(3)
    async with asking(site, [f"/{n}" for n in range(20)]):
        assert site.inside == ["/0", "/1", "/2"]
        assert (admission.counts.running, admission.counts.waiting) == (3, 17)
        # whoever looks whether the process lives is answered meanwhile
        async with asking(site, ["/livez"]):
            assert "/livez" in site.inside
            site.go.set()
    assert site.most == 4
    assert admission.counts == admission.Counts()


async def test_who_finds_no_place_in_time_is_told_to_come_again():
    site = Site(1, patience=0.01)
    async with asking(site, ["/first"]):
        status, headers, body = await site.ask("/api/v1/me/panel/")
        assert (status, headers[b"retry-after"], headers[b"cache-control"]) == (503, b"1", b"no-store")
        assert b'"code":"server.busy"' in body
        assert b'"temporary":true' in body
        status, headers, body = await site.ask("/sale/1/")
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert headers[b"content-type"].startswith(b"text/plain")
        site.go.set()
    assert admission.counts == admission.Counts(turned_away=2)
    assert (await site.ask("/again"))[0] == 200


async def test_the_queue_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(admission, "WAITING", 2)
    site = Site(1)
    async with asking(site, ["/in", "/waits", "/waits too"]):
        assert (await site.ask("/one too many"))[0] == 503
        site.go.set()


async def test_a_view_that_fails_and_somebody_who_leaves_give_their_places_back():
    site = Site(1)
    site.breaks = True
    async with asking(site, ["/fails", "/leaves", "/last"]) as asked:
        asked[1].cancel()
        await asyncio.sleep(0)
        site.go.set()
    assert isinstance(asked[0].exception(), RuntimeError)
    site.breaks = False
    assert (await site.ask("/again"))[0] == 200
    assert admission.counts == admission.Counts()


@pytest.mark.parametrize("path", ["/nothing/here", "/livez"])
async def test_nothing_is_left_of_a_request_that_was_answered(path: str):
    """The server tells of its end, as uvicorn and daphne do, while Django is still listening."""
    door = Admission(get_asgi_application(), 3, always={"/livez"})

    async def ask() -> int:
        over = asyncio.Event()
        coming = [{"type": "http.request", "body": b"", "more_body": False}]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if coming:
                return coming.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            elif not message.get("more_body"):
                over.set()

        scope = {"type": "http", "path": path, "root_path": "", "method": "GET", "query_string": b""}
        await door(scope | {"http_version": "1.1", "headers": [(b"host", b"localhost")]}, receive, send)
        return statuses[0]

    await ask()
    gc.collect()
    gc.disable()
    try:
        assert {await ask() for _ in range(5)} == {200 if path == "/livez" else 404}
        await asyncio.sleep(0)
        left = gc.get_objects()
        # a request of Django's holds its user, who is looked up by the request, when it is over
        assert path != "/livez" or [one for one in left if type(one) is ASGIRequest] == []
        assert [one for one in left if type(one).__name__ == "Task" and one.done()] == []
    finally:
        gc.enable()


async def test_what_is_sent_to_a_probe_is_not_kept():
    heard: list[dict[str, Any]] = []
    more = [{"type": "http.request", "body": b"x" * 1000, "more_body": True}] * 3

    async def receive() -> dict[str, Any]:
        return more.pop() if more else {"type": "http.disconnect"}

    async def probe(scope: Any, receive: Any, send: Any) -> None:
        heard.extend([await receive(), await receive()])

    scope = {"type": "http", "path": "/livez", "root_path": "", "headers": []}
    await Admission(probe, 1, always={"/livez"})(scope, receive, lambda _: None)
    assert heard == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


@pytest.mark.faults
@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_table_that_is_locked_does_not_use_up_the_database(
    server: str, durable_postgres_server: PostgresService, live_processes: Callable[..., list[LiveProcess]]
):
    """Sixty people ask for what cannot be read now: few connections, answers within seconds, and nobody is stuck."""
    url = durable_postgres_server.create_database(f"admission_{server}")
    (process,) = live_processes(1, server=server, database_url=url)
    answers: list[int] = []

    def ask() -> None:
        answers.append(Browser(process).call("GET", f"/api/v1/streams/{uuid4()}/snapshot/")[0])

    assert settings.REQUESTS_AT_ONCE == 12
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE stream IN ACCESS EXCLUSIVE MODE")
        people = [threading.Thread(target=ask) for _ in range(60)]
        for person in people:
            person.start()
        # twelve wait for the table; all others were told to come again
        wait_until(
            lambda: len(answers) == 60 - 12, what="the answers of those who found no place", seconds=60
        )
        assert set(answers) == {503}
        with psycopg.connect(url) as looking:
            row = looking.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchone()
        # ours two, the process's own, and one for each request that it works on
        assert row is not None
        assert 12 < row[0] <= 2 + 10 + 12
        assert process.is_live()
        holder.rollback()
    for person in people:
        person.join(60)
    assert sorted(set(answers)) == [404, 503]
    assert answers.count(404) == 12
    durable_postgres_server.drop_database(f"admission_{server}")
