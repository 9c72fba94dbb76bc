"""A disk that is full: what cannot be written is refused, nothing is half done, and it goes on when there is room."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

from tests.processes import manage
from tests.wire.client import new_id
from tests.wire.conftest import open_house


def room_left(pid: int, size: int) -> None:
    """No file of that process grows beyond `size` bytes (-1: no limit). What is there already stays."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_sqlite_without_room_refuses_and_goes_on_afterwards() -> None:
    with open_house(1, server="uvicorn") as house:
        process, backstage = house.first, house.backstage
        owner = backstage.person(name="Olga")
        room = backstage.room(owner=owner)
        log = Path(process.env["LIVESALE_DATA"]) / "livesale.sqlite3-wal"
        async with house.enter(owner) as wire:
            await wire.say(room, "before")
            # the write-ahead log is what grows; our own lines fit
            room_left(process.pid, max(log.stat().st_size, len(process.log)) + 8_192)
            acknowledged, refused = [], ""
            for n in range(50):
                command = new_id()
                answer = await wire.ask_for(room, "message.send", {"text": f"message {n}"}, id=command)
                if answer["type"] == "error" and answer["code"] == "message.too_fast":
                    await asyncio.sleep(0.5)
                elif answer["type"] == "error":
                    assert (answer["code"], answer["temporary"]) == ("server.unavailable", True)
                    refused = command
                    break
                else:
                    acknowledged.append(answer["answer"]["message"])
            assert refused, "the disk was never full"
            room_left(process.pid, -1)
            answer = await wire.ask_for(room, "message.send", {"text": "again"}, id=refused)
            assert answer["type"] == "ack"
            assert not answer.get("repeated")
        seqs = [seq for seq, _, _ in backstage.log(stream=room)]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) == len(acknowledged) + 2
        assert "no drift" in await asyncio.to_thread(manage, process.env, "verify")
