"""What is in deploy/ fits the code: units, settings and command lines by name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from django.core.management import get_commands

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


def containers() -> dict[str, Any]:
    """The services of the sample for containers, by name."""
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())["services"]
    return services


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
    """Whoever waits for a table keeps everybody behind out of it: both samples give up soon, and try again."""
    unit = (DEPLOY / "systemd" / "livesale-migrate.service").read_text()
    said = re.search(r'^Environment="PGOPTIONS=(.*lock_timeout=\d+s)"$', unit, re.MULTILINE)
    assert said is not None
    assert "Restart=on-failure" in unit
    migrate = containers()["migrate"]
    assert migrate["environment"]["PGOPTIONS"] == said[1]
    assert migrate["restart"] == "on-failure"
    env = environment(tmp_path, database_url=postgres_url)
    manage(env, "migrate", "--verbosity", "0")
    with psycopg.connect(postgres_url) as busy:
        busy.execute("SELECT count(*) FROM audit_entry")
        env["PGOPTIONS"] = re.sub(r"\d+s", "500ms", said[1])
        with pytest.raises(RuntimeError, match="lock timeout"):
            manage(env, "migrate", "chat", "0001_initial")
    manage(env, "migrate", "--verbosity", "0")


def test_units_name_commands_that_exist() -> None:
    found = set()
    for sample in (*(DEPLOY / "systemd").glob("*.service"), DEPLOY / "container" / "compose.yaml"):
        found |= set(re.findall(r"manage\.py (\w+)", sample.read_text()))
    assert {"backup", "verify", "migrate", "check"} <= found
    assert found <= set(get_commands())


def test_the_run_book_names_commands_that_exist() -> None:
    """And none of them as `manage.py`, which would run without the settings and leave files that are root's."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = set(re.findall(r"(?:livesale-manage|run --rm (?:-T )?manage) ([a-z]\w*)", text))
    assert {"backup", "restore", "restored", "verify", "prune", "erase_person", "createsuperuser"} <= found
    assert found <= set(get_commands())
    assert re.findall(r"`manage\.py [a-z]", text) == []


def test_a_command_of_the_run_book_has_settings_user_and_place_of_the_units(tmp_path: Path) -> None:
    """The script with a stand-in for systemd, which is not everywhere that tests run: what it is asked for."""
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 3\n')
    stand_in.chmod(0o755)
    script = DEPLOY / "livesale-manage"
    done = subprocess.run(
        [script, "erase_person", "somebody else"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    words = done.stdout.splitlines()
    # how a command ended is how the script ends
    assert done.returncode == 3
    assert "--wait" in words
    asked = {word.removeprefix("--property=") for word in words if word.startswith("--property=")}
    unit = (DEPLOY / "systemd" / "livesale-backup.service").read_text().splitlines()
    for name in ("User", "Group", "EnvironmentFile", "WorkingDirectory", "UMask"):
        assert [line for line in unit if line.startswith(f"{name}=")] == [
            line for line in asked if line.startswith(f"{name}=")
        ]
    assert words[words.index("--") + 1 :] == [
        "/opt/livesale/.venv/bin/python",
        "manage.py",
        "erase_person",
        "somebody else",
    ]
    assert "deploy/livesale-manage /usr/local/bin/" in (ROOT / "docs" / "operations.md").read_text()


def test_all_containers_of_ours_are_of_the_image_that_is_built() -> None:
    """One with a build of its own, in a profile above all, would stay on the code before an upgrade."""
    ours = {name: service for name, service in containers().items() if "env_file" in service}
    assert ours.keys() == {"migrate", "web1", "web2", "manage", "backup"}
    assert {service["image"] for service in ours.values()} == {"livesale"}
    assert {service["pull_policy"] for service in ours.values()} == {"never"}
    assert [name for name, service in ours.items() if "build" in service] == ["migrate"]
    assert "profiles" not in ours["migrate"]


@pytest.mark.parametrize("sample", ["systemd/livesale-backup.service", "container/compose.yaml"])
def test_old_backups_go_and_what_killed_ones_left(sample: str, tmp_path: Path) -> None:
    ages = {
        "livesale-1.backup": 30,
        "livesale-2.backup": 20,
        "livesale-3.backup": 0,
        "livesale-4.backup.partial": 2,
        # one that is being written
        "livesale-5.backup.partial": 0,
        "erasures.txt": 300,
        "mine.backup": 300,
    }
    for name, days in ages.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * 86_400 - 60,) * 2)
    commands = re.findall(
        r"\bfind (/var/lib/livesale/backups .*)$", (DEPLOY / sample).read_text(), re.MULTILINE
    )
    for command in commands:
        place, *words = shlex.split(command)
        subprocess.run(
            ["find", place.replace("/var/lib/livesale/backups", str(tmp_path)), *words], check=True
        )
    assert ages.keys() - {path.name for path in tmp_path.iterdir()} == {
        "livesale-1.backup",
        "livesale-4.backup.partial",
    }


def test_nginx_is_given_room_by_the_step_of_the_run_book(tmp_path: Path) -> None:
    """On what Debian's file begins with; done twice it is done once."""
    file = tmp_path / "nginx.conf"
    file.write_text(
        "user www-data;\nworker_processes auto;\npid /run/nginx.pid;\n\n"
        "events {\n\tworker_connections 768;\n\t# multi_accept on;\n}\n"
    )
    text = (ROOT / "docs" / "operations.md").read_text()
    (command,) = re.findall(r"^(sed .*) /etc/nginx/nginx\.conf$", text, re.MULTILINE)
    for _ in range(2):
        subprocess.run([*shlex.split(command), file], check=True)
        assert file.read_text() == (
            "user www-data;\nworker_processes auto;\nworker_rlimit_nofile 65536;\npid /run/nginx.pid;\n\n"
            "events {\n\tworker_connections 32768;\n\t# multi_accept on;\n}\n"
        )
    comment = (DEPLOY / "nginx" / "livesale.conf").read_text()
    assert "worker_rlimit_nofile 65536;" in comment
    assert "worker_connections 32768;" in comment


def test_programs_and_server_of_the_containers_are_of_one_version() -> None:
    """Else every backup is refused."""
    image = (DEPLOY / "container" / "Dockerfile").read_text()
    client = re.search(r"postgresql-client-(\d+)", image)
    server = re.search(
        r"image: postgres:(\d+)$", (DEPLOY / "container" / "compose.yaml").read_text(), re.MULTILINE
    )
    assert client is not None
    assert server is not None
    assert client[1] == server[1]
    # the release of Debian that has this version, by name: another one has another
    assert "FROM python:3.11-slim-trixie\n" in image
