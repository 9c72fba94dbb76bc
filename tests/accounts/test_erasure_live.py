"""An erasure among people who are connected, with a real Redis between; and a backup that does not know of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis

from chat.realtime.closing import CloseCode
from tests.processes import live_processes, manage
from tests.rest.live import PASSWORD, Browser
from tests.services import PostgresService, RedisService
from tests.test_backups import Place
from tests.wire.backstage import Backstage
from tests.wire.client import Wire

WORD = "ada7canary"


def keys_with(url: str, word: str) -> list[tuple[str, int]]:
    """Where in Redis a word is found, in the names of keys or in what they hold; and for how many seconds yet."""
    store = redis.Redis.from_url(url)
    found = []
    for key in store.scan_iter():
        kind = store.type(key)
        held: Any = {
            b"string": store.get,
            b"list": lambda k: store.lrange(k, 0, -1),
            b"hash": store.hgetall,
            b"set": store.smembers,
            b"zset": lambda k: store.zrange(k, 0, -1, withscores=True),
        }.get(kind, lambda k: b"")(key)
        if word.encode() in key or word in str(held):
            found.append((key.decode(), int(store.ttl(key))))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["pubsub", "redis"])
async def test_those_who_watch_hear_of_it_on_every_process_and_its_sockets_close(
    postgres_url: str, redis_server: RedisService, layer: Any, tmp_path: Path
) -> None:
    with live_processes(
        2, server="uvicorn", database_url=postgres_url, redis_url=redis_server.url, channel_layer=layer
    ) as (one, two):
        backstage = Backstage(one.env)
        owner, ada = (backstage.person(name=name) for name in ("Olga", WORD))
        room = backstage.room(owner=owner)
        async with Wire(f"{one.ws_url}/ws/") as watching, Wire(f"{two.ws_url}/ws/") as hers:
            await watching.hello()
            await watching.join(room)
            await hers.auth(backstage.ticket(person=ada))
            await hers.join(room)
            said = await hers.ask_for(room, "message.send", {"text": f"{WORD} says hello"})
            assert said["type"] == "ack"
            heard = await watching.event("message.sent")
            assert heard["body"]["text"] == f"{WORD} says hello"
            await asyncio.to_thread(manage, one.env, "erase_person", ada)
            cleared = await watching.event("member.cleared")
            assert cleared["body"] == {"person": ada}
            assert await hers.expect_close() == CloseCode.SIGN_IN_AGAIN
        async with Wire(f"{two.ws_url}/ws/") as fresh:
            await fresh.hello()
            joined = await fresh.join(room)
            assert WORD not in str(joined)
            assert "deleted person" in str(joined)
        backstage.end()
        # the layer that queues forgets by itself what nobody has fetched
        for key, left in keys_with(redis_server.url, WORD):
            assert layer == "redis", key
            assert 0 < left <= 60, key
        store = redis.Redis.from_url(redis_server.url)
        store.rpush("something", f"a {WORD}")
        assert ("something", -1) in keys_with(redis_server.url, WORD)
        store.delete("something")
    for process in (one, two):
        assert WORD not in process.log
        assert WORD not in "".join(p.name for p in Path(process.env["LIVESALE_DATA"]).rglob("*"))


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_the_file_comes_through_a_real_server(server: Any) -> None:
    with live_processes(1, server=server) as (process,):
        person = Browser(process).sign_up("ada")
        assert person.call("GET", "/api/v1/me/export/")[0] == 403
        status, _ = person.call("POST", "/_allauth/browser/v1/auth/reauthenticate", {"password": PASSWORD})
        assert status == 200
        status, data = person.call("GET", "/api/v1/me/export/")
        assert (status, data["format"]) == (200, "livesale.person")
        assert data["addresses"][0]["email"] == data["person"][0]["email"]
        status, wish = person.call("POST", "/api/v1/me/erasure/", {})
        assert (status, wish["days"]) == (200, 7)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_backup_that_is_put_back_erases_again(
    engine: str, postgres_server: PostgresService, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("here", "there", "backups")]
    for folder in folders:
        folder.mkdir()
    here, there = (
        Place(
            f"sqlite:///{folder / 'livesale.sqlite3'}"
            if engine == "sqlite"
            else postgres_server.create_database(f"erased_{folder.name}"),
            folder,
        )
        for folder in folders[:2]
    )
    manage(here.env, "migrate", "--verbosity", "0")
    backstage = Backstage(here.env)
    owner, ada, eve = (backstage.person(name=name) for name in ("Olga", WORD, "eve7canary"))
    room = backstage.room(owner=owner)
    for person, text in ((ada, f"{WORD} one"), (eve, "eve7canary one"), (owner, "not theirs")):
        backstage.act(stream=room, name="message.send", actor=person, body={"text": text})
    first = folders[2] / "first.backup"
    manage(here.env, "backup", str(first))
    manage(here.env, "erase_person", ada)
    # the next backup brings the list along
    manage(here.env, "backup", str(folders[2] / "second.backup"))
    manage(here.env, "erase_person", eve)
    assert backstage.texts(stream=room) == ["", "", "not theirs"]
    backstage.end()
    # Eve was erased after the last backup: only the installation's own list knows
    (folders[1] / "erasures.txt").write_bytes(
        (folders[0] / "erasures.txt").read_bytes().splitlines()[-1] + b"\n"
    )
    said = manage(there.env, "restore", str(first))
    assert "2 people were erased again" in said
    backstage = Backstage(there.env)
    assert backstage.texts(stream=room) == ["", "", "not theirs"]
    backstage.end()
    assert "no drift" in manage(there.env, "verify")
    if engine == "postgres":
        for name in ("here", "there"):
            postgres_server.drop_database(f"erased_{name}")
