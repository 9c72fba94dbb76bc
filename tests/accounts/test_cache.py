"""What limits count with is the process's: no request has connections of its own, and all know that Redis is away."""

from __future__ import annotations

import gc

import redis

from livesale.accounts import cache
from livesale.accounts.cache import LenientRedisCache
from tests.services import RedisServer


def made(location: str, prefix: str) -> LenientRedisCache:
    """As Django makes one for each request."""
    options = {"socket_timeout": 1, "socket_connect_timeout": 1}
    return LenientRedisCache(location, {"KEY_PREFIX": prefix, "OPTIONS": options})


def test_a_hundred_requests_share_their_connections(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as asked:
        before = asked.info("clients")["connected_clients"]
        gc.disable()
        try:
            for _ in range(100):
                one = made(redis_server.url, "shared")
                one.add("tries", 0)
                one.incr("tries")
            assert one.get("tries") == 100
            assert asked.info("clients")["connected_clients"] <= before + 1
        finally:
            gc.enable()


def test_redis_is_left_alone_for_a_while_by_all_requests(monkeypatch) -> None:
    now, asked = [100.0], []

    class Away:
        def __init__(self, *_: object) -> None:
            pass

        def get(self, key: str, *_: object, **__: object) -> None:
            asked.append(key)
            raise redis.ConnectionError

    monkeypatch.setattr(cache, "RedisCache", Away)
    monkeypatch.setattr(cache.time, "monotonic", lambda: now[0])
    for key in ("a", "b"):
        assert made("redis://away", "away").get(key, 7) == 7
    assert asked == ["a"]
    now[0] += cache.PAUSE
    made("redis://away", "away").get("c")
    assert asked == ["a", "c"]
