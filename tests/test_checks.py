"""Every rule about settings, seen to refuse, and a set-up in which none has anything to say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from livesale import checks
from livesale.checks import database, keeping, programs, visitors
from livesale.checks import layer as layer_checks
from livesale.personal import ledger
from tests import processes, services

REDIS = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
MEMORY = "channels.layers.InMemoryChannelLayer"
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": "x",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    },
}
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """What a careful operator sets; each test spoils one thing."""
    sound = SimpleNamespace(
        DEBUG=False,
        BEHIND_TLS=True,
        ALLOWED_HOSTS=["shop.example"],
        PUBLIC_ORIGINS=["https://shop.example"],
        SECRET_KEY="x" * 50,
        SECRET_KEY_GIVEN=True,
        TRUSTED_PROXIES=1,
        METRICS_TOKEN="",
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        CACHES={"default": {"BACKEND": "livesale.accounts.cache.LenientRedisCache"}},
        DJANGO_VITE={"default": {"dev_mode": False}},
        SERVER_PROCESSES=4,
        LIVESALE_SANDBOX_ENABLED=False,
        SESSION_COOKIE_SECURE=True,
        CSRF_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        CSRF_COOKIE_SAMESITE="Lax",
        DATABASES={"default": POSTGRES},
        CHANNEL_LAYERS=layer(PUBSUB, hosts=["redis://x"]),
        KEEP_LOG_DAYS=365,
        KEEP_CONTACTS_DAYS=730,
        KEEP_RECEIPTS_DAYS=14,
        ERASURE_GRACE_DAYS=7,
        ERASURES_FILE=str(tmp_path / "not yet" / "erasures.txt"),
        REQUESTS_AT_ONCE=12,
    )
    for module in (database, keeping, layer_checks, visitors):
        monkeypatch.setattr(module, "settings", sound)
    monkeypatch.setattr("sys.argv", ["manage.py", "check"])
    return sound


def ids(*, deploy: bool = False) -> set[str]:
    return {str(m.id) for m in run_checks(tags=[checks.TAG], include_deployment_checks=deploy)}


def layer(backend: str, **config: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "CONFIG": config}}


def test_a_sound_set_up_is_left_in_peace() -> None:
    assert ids(deploy=True) == set()


def test_the_embedded_set_up_is_sound_too(settings: Any) -> None:
    settings.SERVER_PROCESSES = 1
    settings.DATABASES = {"default": SQLITE}
    settings.CHANNEL_LAYERS = layer(MEMORY)
    settings.SECRET_KEY_GIVEN = False
    assert ids() == set()


def test_memory_layer_with_several_processes(settings: Any) -> None:
    settings.CHANNEL_LAYERS = layer(MEMORY)
    assert ids() == {"livesale.E001"}


@pytest.mark.parametrize(
    "host",
    [
        "redis://x",
        ("x", 6379),
        {"address": "redis://x"},
        {"address": "redis://x", "socket_timeout": None},
        {"address": "redis://x", "socket_timeout": 5},
        None,
    ],
)
def test_redis_that_gives_up_while_it_waits(settings: Any, host: Any) -> None:
    settings.CHANNEL_LAYERS = layer(REDIS, **({} if host is None else {"hosts": [host]}))
    assert ids() == {"livesale.E002"}


def test_redis_that_may_wait(settings: Any) -> None:
    settings.CHANNEL_LAYERS = layer(REDIS, hosts=[{"address": "redis://x", "socket_timeout": 15}], capacity=9)
    assert ids() == set()


@pytest.mark.parametrize("option", ["capacity", "expiry", "group_expiry", "on_disconnect", "on_reconnect"])
def test_options_that_pubsub_ignores(settings: Any, option: str) -> None:
    settings.CHANNEL_LAYERS = layer(PUBSUB, hosts=["redis://x"], **{option: 5})
    assert ids() == {"livesale.E003"}


@pytest.mark.parametrize("age", [60, None])
def test_connections_that_are_kept(settings: Any, age: int | None) -> None:
    settings.DATABASES = {"default": {**POSTGRES, "CONN_MAX_AGE": age}}
    assert ids() == {"livesale.E004"}


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "PUBLIC_ORIGINS"])
@pytest.mark.parametrize("value", ["*", "https://*", "https://*.example"])
def test_hosts_without_a_name(settings: Any, name: str, value: str) -> None:
    setattr(settings, name, ["shop.example", value])
    assert ids() == {"livesale.E005"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**SQLITE["OPTIONS"], "transaction_mode": "DEFERRED"},
        {**SQLITE["OPTIONS"], "init_command": "PRAGMA journal_mode=WAL;"},
        {**SQLITE["OPTIONS"], "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
        {**SQLITE["OPTIONS"], "init_command": "PRAGMA synchronous = full;"},
    ],
)
def test_sqlite_that_forgets(settings: Any, options: dict[str, Any]) -> None:
    settings.SERVER_PROCESSES = 1
    settings.DATABASES = {"default": {**SQLITE, "OPTIONS": options}}
    assert ids() == {"livesale.E006"}


def test_sqlite_with_several_processes(settings: Any) -> None:
    settings.DATABASES = {"default": SQLITE}
    assert ids() == {"livesale.E007"}


def test_debug_in_public(settings: Any) -> None:
    settings.DEBUG = True
    assert ids() == {"livesale.E009"}


def test_processes_with_a_key_each(settings: Any) -> None:
    settings.SECRET_KEY_GIVEN = False
    assert ids() == {"livesale.E010"}
    settings.SERVER_PROCESSES = 1
    assert ids() == set()
    assert ids(deploy=True) == {"livesale.E011"}


def test_a_sandbox_in_public(settings: Any) -> None:
    settings.LIVESALE_SANDBOX_ENABLED = True
    assert ids() == {"livesale.E012"}
    # said once
    assert len(run_checks(tags=[checks.TAG], include_deployment_checks=True)) == 1
    settings.BEHIND_TLS = False
    assert ids() == set()
    assert ids(deploy=True) == {"livesale.E012"}


def sandbox_by_default(folder: Path, **said: str) -> bool:
    """What the settings of a process make of its environment."""
    code = "from livesale import settings; print(settings.LIVESALE_SANDBOX_ENABLED)"
    env = processes.environment(folder, env=said)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=processes.ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_the_sandbox_is_for_who_asks_for_it_where_strangers_come(tmp_path: Path) -> None:
    assert sandbox_by_default(tmp_path)
    assert not sandbox_by_default(tmp_path, BEHIND_TLS="1")
    assert sandbox_by_default(tmp_path, BEHIND_TLS="1", LIVESALE_SANDBOX_ENABLED="1")
    assert not sandbox_by_default(tmp_path, LIVESALE_SANDBOX_ENABLED="0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_SECURE", False),
        ("CSRF_COOKIE_SECURE", False),
        ("SESSION_COOKIE_HTTPONLY", False),
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("CSRF_COOKIE_SAMESITE", None),
    ],
)
def test_cookies_within_reach(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert ids() == set()
    assert ids(deploy=True) == {"livesale.E013"}


def test_a_short_key(settings: Any) -> None:
    settings.SECRET_KEY = "x" * 39
    assert ids(deploy=True) == {"livesale.E015"}


def test_what_is_for_developers(settings: Any) -> None:
    settings.DJANGO_VITE = {"default": {"dev_mode": True}}
    assert ids(deploy=True) == {"livesale.E016"}
    settings.DEBUG = True
    settings.BEHIND_TLS = False
    assert ids(deploy=True) == {"livesale.E016"}
    assert ids() == set()


def test_a_proxy_that_nobody_told_of(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 0
    assert ids() == ids(deploy=True) == {"livesale.E017"}
    settings.BEHIND_TLS = False
    assert ids(deploy=True) == set()


@pytest.mark.parametrize("origins", [[], ["http://shop.example"], ["https://shop.example", "shop.example"]])
def test_pages_without_a_name(settings: Any, origins: list[str]) -> None:
    settings.PUBLIC_ORIGINS = origins
    assert ids() == set()
    assert ids(deploy=True) == {"livesale.E018"}


@pytest.mark.parametrize("backend", ["console", "dummy", "locmem", "filebased"])
def test_mails_that_nobody_gets(settings: Any, backend: str) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    assert ids(deploy=True) == {"livesale.E019"}


def test_a_short_token(settings: Any) -> None:
    settings.METRICS_TOKEN = "x" * 19
    assert ids(deploy=True) == {"livesale.E020"}
    settings.METRICS_TOKEN = "x" * 20
    assert ids(deploy=True) == set()


def test_limits_per_process(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert ids(deploy=True) == {"livesale.E021"}
    settings.SERVER_PROCESSES = 1
    assert ids(deploy=True) == set()


@pytest.mark.parametrize(
    ("package", "found", "refused"),
    [
        ("Django", "5.2.12", True),
        ("Django", "5.2.13", False),
        ("Django", "5.2.9", True),
        ("daphne", "4.2.1", True),
        ("daphne", "4.10.0", False),
    ],
)
def test_versions_with_known_holes(
    monkeypatch: pytest.MonkeyPatch, package: str, found: str, refused: bool
) -> None:
    monkeypatch.setattr(programs, "version", lambda name: found if name == package else "99.0")
    assert ids() == ({"livesale.E022"} if refused else set())


@pytest.mark.parametrize(
    "name", ["KEEP_LOG_DAYS", "KEEP_CONTACTS_DAYS", "KEEP_RECEIPTS_DAYS", "ERASURE_GRACE_DAYS"]
)
def test_days_below_none(settings: SimpleNamespace, name: str) -> None:
    setattr(settings, name, -1)
    assert ids() == {"livesale.E023"}


@pytest.mark.parametrize(("days", "refused"), [(0, True), (6, True), (7, False), (365, False)])
def test_receipts_that_go_before_their_ids_are_refused(
    settings: SimpleNamespace, days: int, refused: bool
) -> None:
    settings.KEEP_RECEIPTS_DAYS = days
    assert ids() == ({"livesale.E024"} if refused else set())


@pytest.mark.parametrize(("days", "refused"), [(1, True), (13, True), (14, False), (0, False)])
def test_a_log_that_goes_before_its_receipts(settings: SimpleNamespace, days: int, refused: bool) -> None:
    settings.KEEP_LOG_DAYS = days
    assert ids() == ({"livesale.E025"} if refused else set())


@pytest.mark.parametrize(("places", "refused"), [(-1, True), (0, True), (1, False)])
def test_no_place_for_any_request(settings: SimpleNamespace, places: int, refused: bool) -> None:
    settings.REQUESTS_AT_ONCE = places
    assert ids() == ({"livesale.E027"} if refused else set())


@pytest.mark.parametrize(
    ("argv", "limit"),
    [
        (["/venv/bin/daphne", "a:b"], 1024 * 1024),
        (["/lib/daphne/__main__.py", "--websocket-max-message-size", "262144", "a:b"], 262144),
        (["uvicorn", "a:b"], 16 * 1024 * 1024),
        (["uvicorn", "--ws-max-size=65536", "a:b"], 65536),
        (["uvicorn", "--ws-max-size", "large", "a:b"], None),
        (["manage.py", "check"], None),
        ([], None),
    ],
)
def test_frames_of_the_server_program(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], limit: int | None
) -> None:
    assert programs.frame_limit(argv) == limit
    monkeypatch.setattr("sys.argv", argv)
    assert ids() == ({"livesale.W014"} if limit is not None and limit > programs.FRAME_BYTES else set())


def test_uvicorn_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UVICORN_WS_MAX_SIZE", "1000")
    assert programs.frame_limit(["uvicorn", "a:b"]) == 1000


def test_serving_is_refused_and_can_be_overruled(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_run_all", lambda: run_checks(tags=[checks.TAG]))
    settings.ALLOWED_HOSTS = ["*"]
    with pytest.raises(ImproperlyConfigured, match=r"livesale\.E005"):
        checks.before_serving()
    with override_settings(SILENCED_SYSTEM_CHECKS=["livesale.E005"]):
        assert checks.before_serving() == []


def test_every_rule_is_seen_to_refuse() -> None:
    known = {
        number
        for module in (database, keeping, layer_checks, programs, visitors)
        for number in re.findall(r"error\(\s*(\d+),", Path(module.__file__ or "").read_text())
    }
    assert known
    tested = set(re.findall(r"\.E(\d{3})", Path(__file__).read_text()))
    assert {f"{int(n):03d}" for n in known} <= tested


# --- on real servers ----------------------------------------------------------------------------------------------


def test_a_postgres_that_forgets_is_refused(
    postgres_server: services.PostgresService,
    durable_postgres_server: services.PostgresService,
    tmp_path: Path,
) -> None:
    def check(url: str) -> str:
        env = processes.environment(tmp_path, database_url=url, env={"SILENCED_SYSTEM_CHECKS": ""})
        return processes.manage(env, "check", "--database", "default")

    with pytest.raises(RuntimeError, match=r"livesale\.E008\).* fsync"):
        check(postgres_server.url("postgres"))
    url = durable_postgres_server.create_database("checks")
    assert "no issues" in check(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE checks SET synchronous_commit = off")
    with pytest.raises(RuntimeError, match=r"livesale\.E008\).* synchronous_commit off"):
        check(url)


def test_a_server_does_not_start_on_settings_that_cannot_be_right(tmp_path: Path) -> None:
    env = processes.environment(tmp_path, env={"ALLOWED_HOSTS": "*"})
    process = processes.LiveProcess(
        server="uvicorn",
        port=services.free_port(),
        env=env,
        folder=tmp_path,
        application="livesale.asgi:application",
        server_args=(),
    )
    with pytest.raises(Exception):  # noqa: B017 - whatever says that it ended
        process.start()
    assert "livesale.E005" in process.log
    assert not process.running


def test_a_list_of_the_erased_that_is_somebody_elses(
    settings: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "erasures.txt"
    settings.ERASURES_FILE = str(file)
    # whoever runs the tests may be root, whom no file is kept from
    monkeypatch.setattr(os, "access", lambda path, mode: path != file)
    assert ids() == set()
    file.touch(0o600)
    assert ids() == {"livesale.W026"}
    with pytest.raises(PermissionError, match=r"erasures\.txt .*chown livesale"):
        ledger.read([file])
    with pytest.raises(PermissionError, match=r"erasures\.txt .*chown livesale"):
        ledger.copy_to(tmp_path, {uuid4(): datetime.now(UTC)})


def test_a_list_of_the_erased_that_is_not_there_yet_needs_a_place(
    settings: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "later" / "still" / "erasures.txt"
    settings.ERASURES_FILE = str(file)
    assert ids() == set()
    # the folder that would have to take it
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert ids() == {"livesale.W026"}
    with pytest.raises(PermissionError, match=r"erasures\.txt .*chown livesale"):
        ledger.copy_to(file.parent, {uuid4(): datetime.now(UTC)})


def test_no_list_can_be_kept_in_a_folder_of_that_name_or_below_a_file(tmp_path: Path) -> None:
    assert not ledger.is_ours(tmp_path)
    file = tmp_path / "a file"
    file.touch()
    assert ledger.is_ours(file)
    assert not ledger.is_ours(file / "erasures.txt")
    assert ledger.is_ours(Path("erasures.txt"))
