"""Where a demo lives: its port, its address in the house, its files, and that only one runs on them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import CommandError

NOTE = "demo.txt"
_NOTE_TEXT = "This folder holds the data of livesale's demo. `manage.py demo --reset` starts it over.\n"


def check_port(host: str, port: int) -> None:
    """Raise a sentence when the port cannot be had."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise CommandError(f"Port {port} may not be used by you. Take another one: --port 8123") from None
        except (OSError, OverflowError):
            raise CommandError(f"Port {port} is in use. Take another one: --port {port + 1}") from None


def house_address() -> str | None:
    """This machine's address in its local network; None when it is in none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # nothing is sent: connecting only chooses the interface
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if address.startswith("127.") or address == "0.0.0.0" else address  # nosec B104  # noqa: S104 - compared


def admit(origins: list[str], hosts: list[str]) -> None:
    """Let pages of these origins in, beside those that the environment names."""
    settings.ALLOWED_HOSTS = list(dict.fromkeys([*settings.ALLOWED_HOSTS, *hosts]))
    settings.PUBLIC_ORIGINS = list(dict.fromkeys([*settings.PUBLIC_ORIGINS, *origins]))
    settings.CSRF_TRUSTED_ORIGINS = settings.PUBLIC_ORIGINS
    policy: dict[str, Any] = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    sockets = [o.replace("http", "ws", 1) for o in settings.PUBLIC_ORIGINS]
    policy["connect-src"] = list(dict.fromkeys([*policy["connect-src"], *sockets]))


def keep_secret() -> None:
    """Sign with a key that stays in the data folder, so that a restart signs nobody out."""
    if os.environ.get("SECRET_KEY"):
        return
    path = Path(settings.DATA_DIR, "demo-secret")
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    settings.SECRET_KEY = path.read_text()
    if not os.environ.get("LIVESALE_SANDBOX_SECRET"):
        settings.LIVESALE_SANDBOX_SECRET = settings.SECRET_KEY


def child_environment() -> dict[str, str]:
    """What the crowd's process must know to sign as this one does."""
    return {
        **os.environ,
        "SECRET_KEY": settings.SECRET_KEY,
        "LIVESALE_SANDBOX_SECRET": settings.LIVESALE_SANDBOX_SECRET,
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": "WARNING",
    }


def database_file() -> Path | None:
    """The demo's SQLite file, None when the data is on a database server."""
    database = settings.DATABASES["default"]
    return Path(database["NAME"]) if database["ENGINE"].endswith("sqlite3") else None


def only_one() -> IO[str] | None:
    """A lock on the data folder, held while it is open. Raises a sentence when another demo has it."""
    folder = Path(settings.DATA_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "demo.lock").open("w")
    if sys.platform == "win32":
        return file
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CommandError(
            f"A demo is running on {folder} already. Stop it, or give this one its own: LIVESALE_DATA=/some/folder"
        ) from None
    return file


def mark() -> None:
    """Note that this data is a demo's, so that `--reset` may remove it."""
    Path(settings.DATA_DIR, NOTE).write_text(_NOTE_TEXT)


def reset() -> None:
    """Remove the demo's database, pictures and mail; nothing else, and nothing that is not a demo's."""
    folder, database = Path(settings.DATA_DIR), database_file()
    if database is None:
        raise CommandError(
            "--reset removes only the demo's own SQLite file. Empty the database of DATABASE_URL yourself."
        )
    if not (folder / NOTE).exists():
        if database.exists():
            raise CommandError(f"{database} was not made by the demo; it stays. Move it away to start over.")
        return
    for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
        (database.parent / name).unlink(missing_ok=True)
    for name in ("demo-mail.txt", NOTE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(Path(settings.MEDIA_ROOT) / "shops", ignore_errors=True)
