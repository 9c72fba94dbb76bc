"""Real Redis and PostgreSQL servers for tests, on free ports, with their data in temporary folders.

A part that is missing is an error, never a skip: a green run means the real thing ran. `TEST_REDIS_URL` and
`TEST_DATABASE_URL` name servers that are already there; those cannot be killed, and a test that wants to fails.
Nothing outlives the test run, not even one that is killed with SIGKILL: see `Reaper`.
"""

from __future__ import annotations

from tests.services.browser import find_chromium
from tests.services.ports import HOST, free_port
from tests.services.postgres import PostgresServer, PostgresService, processes_in, start_postgres
from tests.services.programs import (
    MissingPart,
    Program,
    forget_process,
    remember_process,
    remove_folder,
    temporary_folder,
    wait_until,
)
from tests.services.redis import RedisServer, RedisService, start_redis

__all__ = [
    "HOST",
    "MissingPart",
    "PostgresServer",
    "PostgresService",
    "Program",
    "RedisServer",
    "RedisService",
    "find_chromium",
    "forget_process",
    "free_port",
    "processes_in",
    "remember_process",
    "remove_folder",
    "start_postgres",
    "start_redis",
    "temporary_folder",
    "wait_until",
]
