"""Mixes of settings that cannot be right are refused: by `manage.py check`, and by a server before it serves.

Each rule has an id; `SILENCED_SYSTEM_CHECKS` lets an operator overrule one knowingly.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from chat.log.transaction import RECEIPT_RETENTION
from chat.realtime.limits import FRAME

TAG = "livesale"

# What the channel layers do without being told otherwise.
BLOCKING_READ = 5
PUBSUB_OPTIONS = {"hosts", "prefix", "serializer_format", "symmetric_encryption_keys"}
# The longest frame in bytes: a character may take four.
FRAME_BYTES = 4 * FRAME
DAPHNE_FRAME = 1024 * 1024
UVICORN_FRAME = 16 * 1024 * 1024
SECRET_LENGTH = 40
TOKEN_LENGTH = 20
# Versions before these have holes that are known to everybody.
OLDEST = {
    "Django": ("5.2.13", "a client could forge headers of the proxy, and bodies had no bound"),
    "daphne": ("4.2.2", "frames had no bound"),
}

Rule = Callable[[], Iterable[CheckMessage]]


def rule(*, deploy: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule about settings; with `deploy` it speaks only in `check --deploy`."""

    def decorate(function: Rule) -> Rule:
        def check(app_configs: Any, **options: Any) -> list[CheckMessage]:
            return list(function())

        check.__name__ = function.__name__
        register(check, TAG, deploy=deploy)
        return function

    return decorate


def _error(number: int, text: str, hint: str) -> Error:
    return Error(text, hint=hint, id=f"livesale.E{number:03d}")


def _is_layer(path: str, name: str) -> bool:
    """Whether the layer at `path` is, or inherits from, the class called `name`."""
    try:
        found = import_string(path)
    except ImportError:
        return False
    return any(f"{c.__module__}.{c.__qualname__}" == name for c in getattr(found, "__mro__", ()))


def _layers() -> Iterator[tuple[str, dict[str, Any]]]:
    for layer in settings.CHANNEL_LAYERS.values():
        yield layer["BACKEND"], layer.get("CONFIG", {})


# --- the channel layer --------------------------------------------------------------------------------------------


@rule()
def memory_layer_is_for_one_process() -> Iterator[CheckMessage]:
    for backend, _ in _layers():
        if _is_layer(backend, "channels.layers.InMemoryChannelLayer") and settings.SERVER_PROCESSES > 1:
            yield _error(
                1,
                "The in-memory channel layer reaches one process only, and SERVER_PROCESSES is more.",
                "Set REDIS_URL, or SERVER_PROCESSES=1.",
            )


@rule()
def redis_reads_may_last() -> Iterator[CheckMessage]:
    for backend, config in _layers():
        if not _is_layer(backend, "channels_redis.core.RedisChannelLayer"):
            continue
        for host in config.get("hosts") or ["redis://localhost"]:
            timeout = host.get("socket_timeout") if isinstance(host, dict) else None
            if timeout is None or timeout <= BLOCKING_READ:
                yield _error(
                    2,
                    f"The Redis layer waits {BLOCKING_READ} s for a message, and redis-py may give up as early: idle "
                    "processes would lose their connection again and again.",
                    f"Give every host of CHANNEL_LAYERS a socket_timeout above {BLOCKING_READ}, for example 15.",
                )
                break


@rule()
def pubsub_options_are_heard() -> Iterator[CheckMessage]:
    for backend, config in _layers():
        if not _is_layer(backend, "channels_redis.pubsub.RedisPubSubChannelLayer"):
            continue
        ignored = sorted(config.keys() - PUBSUB_OPTIONS)
        if ignored:
            yield _error(
                3,
                f"The Pub/Sub channel layer ignores {', '.join(ignored)}.",
                "Remove them: a limit that is written down and not kept is worse than none.",
            )


# --- the database -------------------------------------------------------------------------------------------------


@rule()
def connections_are_not_kept() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if database.get("CONN_MAX_AGE", 0) != 0:
            yield _error(
                4,
                f"CONN_MAX_AGE of the database {alias} is not 0: under ASGI every thread would keep a connection.",
                "Leave it at 0; the lane and the readers keep theirs by themselves.",
            )


def _is_sqlite(database: dict[str, Any]) -> bool:
    return str(database.get("ENGINE", "")).endswith("sqlite3")


@rule()
def sqlite_keeps_what_it_acknowledged() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if not _is_sqlite(database):
            continue
        options = database.get("OPTIONS", {})
        said = str(options.get("init_command", "")).upper().replace(" ", "")
        missing = [
            what
            for what, is_there in (
                (
                    "transaction_mode IMMEDIATE",
                    str(options.get("transaction_mode", "")).upper() == "IMMEDIATE",
                ),
                ("journal_mode=WAL", "JOURNAL_MODE=WAL" in said),
                ("synchronous=FULL", "SYNCHRONOUS=FULL" in said or "SYNCHRONOUS=EXTRA" in said),
            )
            if not is_there
        ]
        if missing:
            yield _error(
                6,
                f"The SQLite database {alias} is used without {', '.join(missing)}.",
                "An acknowledged order would not survive a power cut, or writers would fail half-way on the lock.",
            )


@rule()
def sqlite_is_for_one_process() -> Iterator[CheckMessage]:
    if settings.SERVER_PROCESSES > 1 and any(map(_is_sqlite, settings.DATABASES.values())):
        yield _error(
            7,
            "SQLite has one writer, and SERVER_PROCESSES is more than one.",
            "Set DATABASE_URL to a PostgreSQL database, or SERVER_PROCESSES=1.",
        )


@register(TAG, Tags.database)
def postgres_keeps_what_it_acknowledged(
    app_configs: Any, databases: Sequence[str] | None = None, **options: Any
) -> list[CheckMessage]:
    """Asks the server itself, so it runs with `check --database default`, before migrations, and before serving."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "postgresql":
            continue
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
                fsync, commit = cursor.fetchone()
        except DatabaseError:
            continue  # a database that is away is for /readyz to tell
        off = [name for name, value in (("fsync", fsync), ("synchronous_commit", commit)) if value == "off"]
        if off:
            found.append(
                _error(
                    8,
                    f"The PostgreSQL server of {alias} runs with {' and '.join(off)} off.",
                    "An acknowledged order would not survive a crash. Switch it on.",
                )
            )
    return found


# --- how long things are kept ---------------------------------------------------------------------------------------


@rule()
def days_are_days() -> Iterator[CheckMessage]:
    names = ("KEEP_LOG_DAYS", "KEEP_CONTACTS_DAYS", "KEEP_RECEIPTS_DAYS", "ERASURE_GRACE_DAYS")
    negative = [name for name in names if getattr(settings, name) < 0]
    if negative:
        yield _error(23, f"{', '.join(negative)}: there are no days below 0.", "Set 0 or more.")


@rule()
def receipts_outlive_the_ids() -> Iterator[CheckMessage]:
    accepted = RECEIPT_RETENTION.days
    if 0 <= settings.KEEP_RECEIPTS_DAYS < accepted:
        yield _error(
            24,
            f"KEEP_RECEIPTS_DAYS is {settings.KEEP_RECEIPTS_DAYS}, and ids are taken until they are {accepted} days "
            "old: a command that is sent again after its receipt is gone would be carried out twice.",
            f"Set it to {accepted} or more.",
        )


@rule()
def the_log_outlives_the_receipts() -> Iterator[CheckMessage]:
    if 0 < settings.KEEP_LOG_DAYS < settings.KEEP_RECEIPTS_DAYS:
        yield _error(
            25,
            f"KEEP_LOG_DAYS is {settings.KEEP_LOG_DAYS} and KEEP_RECEIPTS_DAYS is {settings.KEEP_RECEIPTS_DAYS}: "
            "whoever sends a message again would be answered with one that is gone.",
            "Keep the log at least as long as receipts; 0 keeps it for ever.",
        )


# --- who may come -------------------------------------------------------------------------------------------------


@rule()
def hosts_have_names() -> Iterator[CheckMessage]:
    for name in ("ALLOWED_HOSTS", "PUBLIC_ORIGINS"):
        if any("*" in value for value in getattr(settings, name)):
            yield _error(
                5,
                f"{name} must not contain *: any page in the world could open a socket with a visitor's cookie.",
                "Name the hosts; .example.org stands for a domain with everything below it.",
            )


@rule()
def debug_is_not_public() -> Iterator[CheckMessage]:
    if settings.DEBUG and settings.BEHIND_TLS:
        yield _error(
            9,
            "DEBUG is on although the site is behind TLS: its pages would show source and settings.",
            "Set DEBUG=0.",
        )


@rule()
def processes_share_the_key() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_GIVEN and settings.SERVER_PROCESSES > 1:
        yield _error(
            10,
            "SECRET_KEY is not set: each process would make its own, and know nobody from another.",
            "Set SECRET_KEY to the same long random text for all processes.",
        )


# --- before strangers come ----------------------------------------------------------------------------------------


@rule(deploy=True)
def the_key_is_given() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_GIVEN:
        yield _error(
            11,
            "SECRET_KEY is not set: every restart would sign everybody out.",
            "Set SECRET_KEY to a long random text.",
        )


@rule(deploy=True)
def the_sandbox_is_closed() -> Iterator[CheckMessage]:
    if settings.LIVESALE_SANDBOX_ENABLED:
        yield _error(
            12,
            "The sandbox gateway is on: anybody could pay with a click on a button.",
            "Set LIVESALE_SANDBOX_ENABLED=0.",
        )


@rule(deploy=True)
def cookies_travel_encrypted() -> Iterator[CheckMessage]:
    wrong = [n for n in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE") if not getattr(settings, n)]
    wrong += [n for n in ("SESSION_COOKIE_HTTPONLY",) if not getattr(settings, n)]
    wrong += [
        n
        for n in ("SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_SAMESITE")
        if getattr(settings, n) not in {"Lax", "Strict"}
    ]
    if wrong:
        yield _error(
            13,
            f"Cookies are within reach of others: {', '.join(wrong)}.",
            "Set BEHIND_TLS=1 and serve the site through a proxy with TLS.",
        )


@rule(deploy=True)
def the_key_is_long() -> Iterator[CheckMessage]:
    if settings.SECRET_KEY_GIVEN and len(settings.SECRET_KEY) < SECRET_LENGTH:
        yield _error(
            15,
            f"SECRET_KEY has fewer than {SECRET_LENGTH} characters: whoever guesses it is anybody.",
            "Make a long random one; everybody signs in again.",
        )


@rule(deploy=True)
def nothing_is_for_developers() -> Iterator[CheckMessage]:
    vite = getattr(settings, "DJANGO_VITE", {})
    on = ["DEBUG"] if settings.DEBUG else []
    on += ["VITE_DEV"] if any(each.get("dev_mode") for each in vite.values()) else []
    if on:
        yield _error(16, f"{' and '.join(on)} is on.", "It is for those who write the program: set it to 0.")


@rule(deploy=True)
def the_proxy_is_known() -> Iterator[CheckMessage]:
    if settings.BEHIND_TLS and settings.TRUSTED_PROXIES < 1:
        yield _error(
            17,
            "A proxy ends TLS and TRUSTED_PROXIES is 0: everybody has the proxy's address, and who guesses "
            "passwords locks all others out.",
            "Set TRUSTED_PROXIES to the number of your own proxies in a row, mostly 1.",
        )


@rule(deploy=True)
def pages_are_named() -> Iterator[CheckMessage]:
    bare = [origin for origin in settings.PUBLIC_ORIGINS if not origin.startswith("https://")]
    if bare or not settings.PUBLIC_ORIGINS:
        yield _error(
            18,
            "PUBLIC_ORIGINS names " + (", ".join(bare) if bare else "no page") + ".",
            "Name every page that may open a socket: https://shop.example. Behind a proxy, no other may.",
        )


@rule(deploy=True)
def mails_arrive() -> Iterator[CheckMessage]:
    if settings.EMAIL_BACKEND.rsplit(".", 2)[-2:-1] in (["console"], ["dummy"], ["locmem"], ["filebased"]):
        yield _error(
            19,
            "Mails are not sent: nobody could set a new password or hear that it is their turn.",
            "Set EMAIL_URL, for example smtp+tls://user:password@mail.example:587.",
        )


@rule(deploy=True)
def metrics_are_not_guessed() -> Iterator[CheckMessage]:
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < TOKEN_LENGTH:
        yield _error(
            20,
            f"METRICS_TOKEN has fewer than {TOKEN_LENGTH} characters.",
            "Make a longer one, or leave it empty: then there is no /metrics.",
        )


@rule(deploy=True)
def limits_are_counted_together() -> Iterator[CheckMessage]:
    backend = str(settings.CACHES["default"]["BACKEND"])
    if settings.SERVER_PROCESSES > 1 and not backend.endswith("RedisCache"):
        yield _error(
            21,
            "Each process counts failed sign-ins and guesses for itself: limits are as many times higher.",
            "Set REDIS_URL.",
        )


# --- what is installed --------------------------------------------------------------------------------------------


@rule()
def known_holes_are_closed() -> Iterator[CheckMessage]:
    for package, (oldest, why) in OLDEST.items():
        found = version(package)
        if _numbers(found) < _numbers(oldest):
            yield _error(
                22,
                f"{package} {found} is installed; before {oldest} {why}.",
                "Install what requirements/run.txt pins.",
            )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


# --- the server program -------------------------------------------------------------------------------------------


def frame_limit(argv: Sequence[str]) -> int | None:
    """The longest frame that the server program of this process takes, in bytes; None where it cannot be seen."""
    program = Path(argv[0]).stem if argv else ""
    if program == "__main__":
        program = Path(argv[0]).parent.name
    known = {
        "daphne": ("--websocket-max-message-size", DAPHNE_FRAME),
        "uvicorn": ("--ws-max-size", int(os.environ.get("UVICORN_WS_MAX_SIZE") or UVICORN_FRAME)),
    }
    if program not in known:
        return None
    flag, limit = known[program]
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name == flag:
            try:
                return int(value or following)
            except ValueError:
                return None
    return limit


@rule()
def frames_are_bounded_early() -> Iterator[CheckMessage]:
    limit = frame_limit(sys.argv)
    if limit is not None and limit > FRAME_BYTES:
        yield Warning(
            f"This server takes frames of up to {limit} bytes before livesale refuses what is over {FRAME} characters.",
            hint=f"daphne --websocket-max-message-size {FRAME_BYTES}, uvicorn --ws-max-size {FRAME_BYTES}.",
            id="livesale.W014",
        )


def before_serving() -> list[CheckMessage]:
    """Run the rules as a server starts; returns the warnings. Raises `ImproperlyConfigured` for errors."""
    with ThreadPoolExecutor(1) as thread:  # some servers import the application inside their event loop
        found = thread.submit(_run_all).result()
    spoken = [message for message in found if not message.is_silenced()]
    serious = [message for message in spoken if message.is_serious()]
    if serious:
        raise ImproperlyConfigured("\n".join(str(message) for message in serious))
    return spoken


def _run_all() -> list[CheckMessage]:
    try:
        return run_checks(tags=[TAG], databases=list(settings.DATABASES))
    finally:
        connections.close_all()
