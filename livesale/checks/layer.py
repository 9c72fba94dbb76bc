"""The channel layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from livesale.checks.rule import error, rule

# What the channel layers do without being told otherwise.
BLOCKING_READ = 5
PUBSUB_OPTIONS = {"hosts", "prefix", "serializer_format", "symmetric_encryption_keys"}


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


@rule()
def memory_layer_is_for_one_process() -> Iterator[CheckMessage]:
    for backend, _ in _layers():
        if _is_layer(backend, "channels.layers.InMemoryChannelLayer") and settings.SERVER_PROCESSES > 1:
            yield error(
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
                yield error(
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
            yield error(
                3,
                f"The Pub/Sub channel layer ignores {', '.join(ignored)}.",
                "Remove them: a limit that is written down and not kept is worse than none.",
            )
