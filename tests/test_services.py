"""The tools that start real servers: they start, die and come back as the fault tests expect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.db import connection

from tests import services
from tests.processes import ROOT

pytestmark = pytest.mark.faults


def answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def wait_for_answers(url: str) -> None:
    """What has just begun to run, or to run again, may take longer than one question waits."""
    services.wait_until(lambda: answers(url), what="an answer")


def test_redis_dies_and_comes_back_empty_on_the_same_port(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("stock", 5)
    redis_server.kill()
    assert not answers(redis_server.url)

    redis_server.restart()

    with redis.Redis.from_url(redis_server.url) as client:
        assert client.get("stock") is None


def test_a_redis_that_a_test_left_dead_or_stopped_is_healed(redis_server):
    redis_server.kill()
    redis_server.heal()
    wait_for_answers(redis_server.url)
    redis_server.pause()
    assert not answers(redis_server.url)
    redis_server.heal()
    wait_for_answers(redis_server.url)


def test_redis_flushall(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("stock", 5)
        redis_server.flushall()
        assert client.dbsize() == 0


@pytest.mark.parametrize("fixture", ["postgres_server", "durable_postgres_server"])
def test_postgres_killed_with_an_open_transaction_keeps_what_was_committed_and_only_that(request, fixture):
    server = request.getfixturevalue(fixture)
    url = server.create_database("killed")
    with psycopg.connect(url, autocommit=True) as writer:
        writer.execute("CREATE TABLE claim (who text)")
        writer.execute("INSERT INTO claim VALUES ('committed')")
    open_transaction = psycopg.connect(url)
    open_transaction.execute("INSERT INTO claim VALUES ('not committed')")

    server.kill()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    server.start()
    with psycopg.connect(url) as reader:
        assert reader.execute("SELECT who FROM claim").fetchall() == [("committed",)]
    open_transaction.close()


def test_durable_means_fsync(postgres_server, durable_postgres_server):
    def fsync(server):
        with psycopg.connect(server.url()) as reader:
            return reader.execute("SHOW fsync").fetchone()[0]

    assert (fsync(postgres_server), fsync(durable_postgres_server)) == ("off", "on")


def test_each_test_gets_an_empty_database(postgres_url):
    with psycopg.connect(postgres_url) as reader:
        tables = reader.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_chromium_runs(chromium_path):
    said = subprocess.run([chromium_path, "--version"], capture_output=True, text=True, timeout=30)
    assert "Chrom" in said.stdout


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_processes_start_on_their_ports_die_and_come_back(live_processes, server):
    first, second = live_processes(2, server=server, application="tests.livez_app:application", migrate=False)
    assert first.port != second.port
    assert first.origin in second.env["PUBLIC_ORIGINS"]
    with urllib.request.urlopen(f"{first.base_url}/livez") as answer:
        assert answer.read() == b"ok"
    before = first.pid

    first.kill9()
    assert not first.is_live()
    second.wait_ready()
    first.restart()
    first.wait_ready()
    assert first.pid != before

    assert second.sigterm() in (0, -signal.SIGTERM)
    assert not second.running


def test_a_process_that_cannot_start_says_why(live_processes):
    with pytest.raises(RuntimeError, match="no_such_module"):
        live_processes(1, server="uvicorn", application="tests.no_such_module:application", migrate=False)


def test_servers_do_not_outlive_a_test_run_that_is_killed():
    script = (
        "from tests import services; s = services.RedisServer(); print(s.url, s.folder, flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        url, folder = child.stdout.readline().split()
        wait_for_answers(url)
        child.send_signal(signal.SIGKILL)
    services.wait_until(lambda: not answers(url) and not Path(folder).exists(), what="the orphan's end")


def test_a_missing_part_fails_and_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)
    with pytest.raises(services.MissingPart, match="make test"):
        services.start_redis()


def test_a_named_server_is_used_and_never_killed(redis_server, monkeypatch):
    monkeypatch.setenv("TEST_REDIS_URL", redis_server.url)
    named = services.start_redis()
    assert named.url == redis_server.url
    with pytest.raises(RuntimeError, match="TEST_REDIS_URL"):
        named.kill()


def test_a_free_port_is_outside_the_range_of_outgoing_connections():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(services.free_port() < lowest for _ in range(20))


@pytest.mark.database
@pytest.mark.django_db
def test_the_database_is_the_one_that_was_asked_for(request):
    asked = request.config.getoption("--database")
    assert connection.vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[asked]
    if asked == "sqlite":
        assert Path(connection.settings_dict["NAME"]).is_file()
    else:
        assert urlsplit(os.environ["DATABASE_URL"]).port == int(connection.settings_dict["PORT"])


def test_waiting_gives_up():
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="never"):
        services.wait_until(lambda: False, what="never", seconds=0.1)
    assert time.monotonic() - start < 10
