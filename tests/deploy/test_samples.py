"""What is in deploy/ fits the code: units, settings and command lines by name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psycopg
import pytest

from livesale.checks.programs import FRAME_BYTES, frame_limit
from tests.deploy.proxies import DEPLOY
from tests.processes import ROOT, environment, manage


def settings_in_code() -> set[str]:
    """The variables of the environment that settings read."""
    text = (ROOT / "livesale" / "settings.py").read_text()
    named = re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', text) + re.findall(
        r'os\.environ\.get\("([A-Z_]+)"', text
    )
    return set(named) - {"DJANGO_SETTINGS_MODULE"}


def test_every_setting_of_the_sample_is_one() -> None:
    text = (DEPLOY / "livesale.env.sample").read_text()
    said = {line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert said
    assert said <= settings_in_code()


def test_the_sample_passes_its_own_check(tmp_path: Path) -> None:
    """Filled in as it says, it is what `check --deploy` asks for; as it is, the empty key is refused."""
    text = (DEPLOY / "livesale.env.sample").read_text()
    said = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    env = {
        **os.environ,
        **said,
        "LIVESALE_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "livesale.settings",
    }
    words = ("check", "--deploy", "--tag", "livesale")
    with pytest.raises(RuntimeError, match=r"livesale\.E010"):
        manage(env, *words)
    assert "no issues" in manage({**env, "SECRET_KEY": "x" * 50}, *words)


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
    assert explained == settings_in_code()


@pytest.mark.parametrize("path", ["systemd/livesale@.service", "container/Dockerfile"])
def test_frames_are_bounded_where_servers_are_started(path: str) -> None:
    text = re.sub(r'[\\",]', " ", (DEPLOY / path).read_text())
    words = re.search(r"uvicorn +livesale\.asgi:application.*?(?=\n\S|\Z)", text, re.DOTALL)
    assert words is not None
    limit = frame_limit(words[0].split())
    assert limit is not None
    assert limit <= FRAME_BYTES
    for word in ("--no-proxy-headers", "--no-access-log", "--ws-per-message-deflate"):
        assert word in words[0].split()


def test_a_migration_does_not_wait_for_a_busy_table(postgres_url: str, tmp_path: Path) -> None:
    """Whoever waits for a table keeps everybody behind out of it: the unit gives up soon, and tries again."""
    unit = (DEPLOY / "systemd" / "livesale-migrate.service").read_text()
    said = re.search(r'^Environment="PGOPTIONS=(.*lock_timeout=\d+s)"$', unit, re.MULTILINE)
    assert said is not None
    assert "Restart=on-failure" in unit
    env = environment(tmp_path, database_url=postgres_url)
    manage(env, "migrate", "--verbosity", "0")
    with psycopg.connect(postgres_url) as busy:
        busy.execute("SELECT count(*) FROM audit_entry")
        env["PGOPTIONS"] = re.sub(r"\d+s", "500ms", said[1])
        with pytest.raises(RuntimeError, match="lock timeout"):
            manage(env, "migrate", "chat", "0001_initial")
    manage(env, "migrate", "--verbosity", "0")


def test_units_name_commands_that_exist() -> None:
    commands = {path.stem for path in (ROOT / "livesale" / "management" / "commands").glob("[a-z]*.py")}
    commands |= {"migrate", "check", "collectstatic", "clearsessions"}
    found = set()
    for unit in (DEPLOY / "systemd").glob("*.service"):
        found |= set(re.findall(r"manage\.py (\w+)", unit.read_text()))
    assert {"backup", "verify", "migrate", "check"} <= found
    assert found <= commands
