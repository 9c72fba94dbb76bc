"""Backup and restore as an operator does them: taken while people order, put back elsewhere, and everything adds up."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db.backends.sqlite3._functions import register

from chat.log import clock, streams
from chat.log.models import StreamHead
from tests import services
from tests.processes import LiveProcess, environment, live_processes, manage
from tests.proofs.stage import Stage
from tests.services import PostgresService
from tests.wire.client import Wire, new_id


@dataclass
class Place:
    """Where a database is, or is going to be."""

    database_url: str
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return environment(self.folder, database_url=self.database_url)


@dataclass
class Trade:
    """What buyers were told, in order."""

    process: LiveProcess
    room: str
    offer: str
    answered: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    async def go_on(self, tickets: list[tuple[str, str]]) -> None:
        """Each person claims one unit, one after the other, until told to stop."""
        for person, ticket in tickets:
            if self.over:
                return
            async with Wire(f"{self.process.ws_url}/ws/") as wire:
                await wire.auth(ticket)
                command = new_id()
                answer = await wire.ask_for(self.room, "claim.place", {"offer": self.offer}, id=command)
                assert answer["type"] == "ack", answer
                self.answered.append((person, command, answer["answer"]))
            if len(self.answered) >= 5:
                self.enough.set()


@pytest.fixture(params=["sqlite", "postgres"])
def places(
    request: pytest.FixtureRequest, postgres_server: PostgresService, tmp_path: Path
) -> Iterator[tuple[Place, Place]]:
    """Where it runs, and where it is restored to."""
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    if request.param == "sqlite":
        yield (
            Place(f"sqlite:///{folders[0] / 'livesale.sqlite3'}", folders[0]),
            Place(f"sqlite:///{folders[1] / 'livesale.sqlite3'}", folders[1]),
        )
    else:
        urls = [postgres_server.create_database(f"backup_{name}") for name in ("here", "there")]
        yield Place(urls[0], folders[0]), Place(urls[1], folders[1])
        for name in ("here", "there"):
            postgres_server.drop_database(f"backup_{name}")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_taken_while_people_order_and_put_back_elsewhere(
    places: tuple[Place, Place], tmp_path: Path
) -> None:
    here, there = places
    backup = tmp_path / "livesale.backup"
    manage(here.env, "migrate", "--verbosity", "0")
    with (
        live_processes(1, server="uvicorn", database_url=here.database_url, migrate=False) as (process,),
        Stage(process.env) as stage,
    ):
        market = stage.open_market(people=60, stock=1000, name="Backup")
        room, offer = market["rooms"][0], market["offers"][0]
        tickets = list(zip(market["people"], stage.tickets(people=market["people"]), strict=True))
        trade = Trade(process, room, offer)
        trading = asyncio.create_task(trade.go_on(tickets))
        async with asyncio.timeout(60):
            await trade.enough.wait()
        before = len(trade.answered)
        said = await asyncio.to_thread(manage, here.env, "backup", str(backup))
        after = len(trade.answered)
        await asyncio.sleep(1)
        trade.over = True
        await trading
        assert str(backup) in said
        # nobody waited for the backup
        assert after > before
        async with Wire(f"{process.ws_url}/ws/") as wire:
            await wire.hello()
            last = await wire.join(room)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [backup.name]
    if backup.read_bytes()[:6] == b"SQLite":
        with closing(sqlite3.connect(backup)) as connection:
            register(connection)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    assert "epoch" in await asyncio.to_thread(manage, there.env, "restore", str(backup))
    assert "no drift" in await asyncio.to_thread(manage, there.env, "verify")
    with live_processes(1, server="uvicorn", database_url=there.database_url, migrate=False) as (process,):
        with Stage(process.env) as stage:
            again = dict(zip(market["people"], stage.tickets(people=market["people"]), strict=True))
        async with Wire(f"{process.ws_url}/ws/") as wire:
            await wire.hello()
            # who has lived through what the backup does not know begins anew
            joined = await wire.join(room, after=last["seq"], epoch=last["epoch"])
            assert joined["mode"] == "resync"
            assert joined["epoch"] > last["epoch"]
            assert joined["seq"] <= last["seq"]
        # a client that never got its answer asks again: what is in the backup is answered as it was
        kept = []
        for person, command, answer in trade.answered:
            async with Wire(f"{process.ws_url}/ws/") as wire:
                await wire.auth(again[person])
                repeated = await wire.ask_for(room, "claim.place", {"offer": offer}, id=command)
                assert repeated["type"] == "ack"
                if repeated.get("repeated"):
                    assert repeated["answer"] == answer
                    kept.append(command)
        assert kept == [command for _, command, _ in trade.answered[: len(kept)]]
        assert len(kept) >= before
    assert "no drift" in await asyncio.to_thread(manage, there.env, "verify")


def test_nothing_is_overwritten(places: tuple[Place, Place], tmp_path: Path) -> None:
    here, there = places
    backup = tmp_path / "livesale.backup"
    manage(here.env, "migrate", "--verbosity", "0")
    manage(here.env, "backup", str(backup))
    with pytest.raises(RuntimeError, match="exists"):
        manage(here.env, "backup", str(backup))
    with pytest.raises(RuntimeError, match=r"not empty.*`restored`"):
        manage(here.env, "restore", str(backup))
    with pytest.raises(RuntimeError, match="no backup"):
        manage(there.env, "restore", str(tmp_path / "another"))
    os.truncate(backup, backup.stat().st_size // 2)
    with pytest.raises(RuntimeError, match=r"SQLite|pg_restore"):
        manage(there.env, "restore", str(backup))
    # what is left of a failed try does not stand in the way
    with pytest.raises(RuntimeError, match=r"SQLite|pg_restore"):
        manage(there.env, "restore", str(backup))


def test_a_list_of_the_erased_that_cannot_be_read_is_told_before_anything_is_written(
    places: tuple[Place, Place], tmp_path: Path
) -> None:
    here, there = places
    backup = tmp_path / "livesale.backup"
    manage(here.env, "migrate", "--verbosity", "0")
    manage(here.env, "backup", str(backup))
    for folder in (there.folder, backup.parent):
        # whoever runs the tests may be root, whom no file is kept from
        stands_there = folder / "erasures.txt"
        stands_there.mkdir()
        with pytest.raises(RuntimeError, match=rf"{stands_there} may not be read"):
            manage(there.env, "restore", str(backup))
        stands_there.rmdir()
    # the database is as empty as before: else this were refused
    assert "epoch" in manage(there.env, "restore", str(backup))


@pytest.mark.database
def test_every_restore_makes_an_epoch_of_its_own(db: None) -> None:
    stream = streams.create_stream(kind="room", tenant_id=None)

    def epoch() -> int:
        return StreamHead.objects.get(stream_id=stream).epoch

    assert epoch() == 1
    with clock.frozen() as time:
        assert streams.new_epoch() == StreamHead.objects.count()
        first = epoch()
        # the same backup once more
        StreamHead.objects.update(epoch=1)
        time.advance(60)
        streams.new_epoch()
        assert 1 < first < epoch()
        # a clock that goes wrong takes nothing back
        time.advance(-86_400)
        latest = epoch()
        streams.new_epoch()
        assert epoch() == latest + 1


@pytest.mark.parametrize("places", ["postgres"], indirect=True)  # SQLite brings its own
def test_a_backup_needs_its_program(places: tuple[Place, Place], tmp_path: Path) -> None:
    here, _ = places
    nowhere = services.temporary_folder("nowhere")
    with pytest.raises(RuntimeError, match="pg_dump is not installed"):
        manage({**here.env, "PATH": str(nowhere)}, "backup", str(tmp_path / "x"))
    services.remove_folder(nowhere)


@pytest.mark.parametrize("places", ["postgres"], indirect=True)
@pytest.mark.parametrize("away", [-1, 1])
def test_programs_of_another_version_are_refused_before_anything_is_done(
    places: tuple[Place, Place], tmp_path: Path, away: int
) -> None:
    here, there = places
    backup = tmp_path / "livesale.backup"
    manage(here.env, "migrate", "--verbosity", "0")
    manage(here.env, "backup", str(backup))
    with psycopg.connect(here.database_url) as link:
        server = link.info.server_version // 10_000
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        program = programs / name
        # the version is said to whoever asks; nothing else may be asked
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) {server + away}.3" && exit\n'
            f"touch {tmp_path}/begun\n"
        )
        program.chmod(0o755)
    said = rf"of PostgreSQL {server + away} and the server of {server}.* postgresql-client-{server} "
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    with pytest.raises(RuntimeError, match=f"pg_dump is {said}"):
        manage({**here.env, **path}, "backup", str(tmp_path / "another"))
    with pytest.raises(RuntimeError, match=f"pg_restore is {said}"):
        manage({**there.env, **path}, "restore", str(backup))
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [backup.name]
