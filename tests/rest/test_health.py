"""The probes tell the truth: each fault, and only it, flips the right one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import override_settings
from uuid_utils.compat import uuid7

from commerce.payments.sandbox import sign, webhook_body
from livesale import health
from tests.processes import LiveProcess
from tests.rest.live import Browser
from tests.services import PostgresService, RedisService, wait_until


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a database that is well may take its time; only a test about silence is in a hurry."""
    monkeypatch.setattr(health, "PATIENCE", 30.0)


def ready(process: LiveProcess) -> tuple[int, Any]:
    return Browser(process).call("GET", "/readyz")


def test_migrations_that_are_missing_are_told(client: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as missing:
        missing.setattr(health, "_migrated", False)
        missing.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: [object()])
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["problems"]) == (503, ["migrations"])
    assert client.get("/readyz").status_code == 200


def test_who_is_leaving_is_not_ready(client: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.server, "draining", True)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["draining"])
    assert client.get("/livez").status_code == 200


def test_a_database_that_hangs_keeps_one_thread_and_nobody_waiting(
    client: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake, asked = threading.Event(), []

    def hang() -> bool:
        asked.append(threading.current_thread())
        return awake.wait(100)

    monkeypatch.setattr(health, "_migrations", health.Question(hang))
    with monkeypatch.context() as hasty:
        hasty.setattr(health, "PATIENCE", 0.2)
        began = time.monotonic()
        for _ in range(3):
            assert client.get("/readyz").json()["problems"] == ["database"]
            assert client.get("/livez").status_code == 200
        assert time.monotonic() - began < 20
    # one was asked and hangs still: nobody has waited for its answer
    assert len(asked) == 1
    assert asked[0].is_alive()
    awake.set()
    asked[0].join()
    assert client.get("/readyz").status_code == 200


def test_a_probe_keeps_its_answer_when_another_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, again, awake = [], threading.Event(), threading.Event()

    def ask() -> bool:
        asked.append(threading.current_thread())
        if len(asked) > 1:
            again.set()
            awake.wait(100)
        return True

    question = health.Question(ask)
    another = threading.Thread(target=question.put)
    join = threading.Thread.join

    def join_and_be_overtaken(self: threading.Thread, timeout: float | None = None) -> None:
        join(self, timeout)
        if self is asked[0]:
            another.start()
            assert again.wait(30)

    with monkeypatch.context() as slow:
        slow.setattr(threading.Thread, "join", join_and_be_overtaken)
        assert question.put() is True
    awake.set()
    another.join()
    assert len(asked) == 2


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_name(client: Any, db: None, path: str) -> None:
    """A load balancer asks by address; everybody else has to know what the site is called."""
    answer = client.get(path, headers={"Host": "10.0.0.7:8001"})
    assert answer.status_code == 200
    assert not answer.cookies
    assert client.get("/robots.txt", headers={"Host": "10.0.0.7:8001"}).status_code == 400


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_faults_of_real_servers(
    live_processes: Callable[..., list[LiveProcess]],
    postgres_server: PostgresService,
    redis_server: RedisService,
) -> None:
    (process,) = live_processes(
        1,
        server="uvicorn",
        database_url=postgres_server.create_database("health"),
        redis_url=redis_server.url,
    )
    well = (200, {"ready": True, "problems": [], "degraded": []})
    # asked again where a busy machine may answer too late once: what counts is what it settles on
    wait_until(lambda: ready(process) == well, what="ready", seconds=30)
    eve = Browser(process).sign_up("eve")
    shop = eve.call("POST", "/api/v1/shops/", {"name": "Eve", "currency": "EUR"})[1]["shop"]
    with eve.socket() as socket:
        # with somebody in a stream the process has something to say to the others every few seconds
        socket.send(json.dumps({"type": "join", "streams": [{"stream": shop}]}))
        redis_server.kill()
        slower = (200, {"ready": True, "problems": [], "degraded": ["layer"]})
        wait_until(lambda: ready(process) == slower, what="degraded, and ready", seconds=60)
        # nobody's request waits for Redis or fails for want of it
        assert eve.call("POST", "/api/v1/me/ticket/")[0] == 201
        assert Browser(process).sign_up("adam").call("GET", "/api/v1/me/")[1]["person"]
        redis_server.restart()
        wait_until(lambda: ready(process)[1]["degraded"] == [], what="layer is back", seconds=60)
    postgres_server.kill()
    wait_until(lambda: ready(process)[1]["problems"] == ["database"], what="not ready", seconds=60)
    assert Browser(process).call("GET", "/livez")[0] == 200
    status, said = Browser(process).call("GET", "/api/v1/shops/anna/")
    assert (status, said["code"], said["temporary"]) == (503, "server.unavailable", True)
    assert Browser(process).call("GET", "/s/anna/")[0] == 503
    # a gateway sends again what was answered so
    news = webhook_body(event_id="e", kind="paid", attempt_id=uuid7(), amount_minor=1, currency="EUR")
    with override_settings(LIVESALE_SANDBOX_SECRET=process.env["SECRET_KEY"]):
        proof = sign(news, datetime.now(UTC))
    status, said = Browser(process).call("POST", "/webhooks/sandbox/", news, **proof)
    assert (status, said["code"], said["temporary"]) == (503, "server.unavailable", True)
    postgres_server.start()
    wait_until(lambda: ready(process)[0] == 200, what="ready again", seconds=60)
