"""What moderators do, as clients see it that were away, and as one person feels it who has many sockets."""

from __future__ import annotations

import json

from tests.wire.conftest import House


async def test_who_was_away_hears_that_a_text_is_gone_and_never_the_text(
    house: House, room: str, owner: str, guest: str
):
    async with house.enter(guest) as writer, house.enter(owner) as host:
        async with house.wire() as reader:
            await reader.hello()
            joined = await reader.join(room)
            reader.abort()
        message = await writer.say(room, "a regrettable word")
        assert (await host.ask_for(room, "message.delete", {"message": message}))["type"] == "ack"

        async with house.wire(house.second) as again:
            await again.hello()
            back = await again.join(room, after=joined["seq"], epoch=joined["epoch"])
            assert back["mode"] == "replay"
            await again.event("message.deleted", message=message)
            assert "regrettable" not in json.dumps(again.frames)

        async with house.wire(house.second) as late:
            await late.hello()
            await late.join(room)
            assert "regrettable" not in json.dumps(late.frames)


async def test_slow_mode_counts_a_person_not_their_sockets(house: House, room: str, owner: str, guest: str):
    async with (
        house.enter(owner) as host,
        house.enter(guest) as one,
        house.enter(guest, house.second) as two,
        house.enter(guest, house.second) as three,
    ):
        slow = await host.ask_for(room, "room.configure", {"slow_seconds": 60})
        assert slow["type"] == "ack"
        answers = [
            await wire.ask_for(room, "message.send", {"text": f"{n}"})
            for n, wire in enumerate((one, two, three))
        ]
        assert [a["type"] for a in answers] == ["ack", "error", "error"]
        assert {a["code"] for a in answers[1:]} == {"message.slow"}
        assert len(house.backstage.texts(stream=room)) == 1
