"""The cache for rate limits of several processes: Redis, and while that is away each process's own memory."""

from __future__ import annotations

import json
import logging
import time
from functools import cache
from typing import Any

import redis
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

logger = logging.getLogger(__name__)

# After a failure Redis is left alone for this long, in seconds: nobody's sign-in waits for it meanwhile.
PAUSE = 5.0


class _Counters:
    """Where one process counts: a Redis with its connections, and the process's own memory."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        self.redis = RedisCache(location, params)
        self.here = LocMemCache("lenient", params)
        self.away_until = 0.0


@cache
def _counters(location: str, params: str) -> _Counters:
    return _Counters(location, json.loads(params))


class LenientRedisCache(BaseCache):
    """Counts in Redis; an outage makes limits looser (each process counts for itself), never an error.

    Under ASGI Django makes a cache for every request: what they count with is the process's, and outlives them.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._counters = _counters(location, json.dumps(params, sort_keys=True))

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        counters = self._counters
        if time.monotonic() >= counters.away_until:
            try:
                return getattr(counters.redis, name)(*args, **options)
            except (redis.RedisError, OSError) as error:
                logger.warning("cache: %s; counting in memory", type(error).__name__)
                counters.away_until = time.monotonic() + PAUSE
        return getattr(counters.here, name)(*args, **options)

    def add(self, key: Any, value: Any, *args: Any, **options: Any) -> bool:
        return bool(self._call("add", key, value, *args, **options))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._call("get", key, default, version=version)

    def set(self, key: Any, value: Any, *args: Any, **options: Any) -> None:
        self._call("set", key, value, *args, **options)

    def touch(self, key: Any, *args: Any, **options: Any) -> bool:
        return bool(self._call("touch", key, *args, **options))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(self._call("delete", key, version=version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return int(self._call("incr", key, delta, version=version))

    def clear(self) -> None:
        self._call("clear")
