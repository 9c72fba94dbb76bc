"""One socket and its frames: who one is, joining, sending, asking, leaving."""

from __future__ import annotations

import json

import pytest

from tests.wire.client import new_id
from tests.wire.conftest import House


async def test_a_guest_is_greeted_watches_and_is_told_to_sign_in_before_writing(house: House, room: str):
    async with house.wire() as wire:
        hello = await wire.hello()
        assert hello["protocol"] == 1
        assert hello.get("you") is None
        assert hello["limits"]["frame"] == 65536

        joined = await wire.join(room)
        assert joined["mode"] == "resync"
        assert joined["snapshot"]["seq"] == joined["seq"]
        assert joined["snapshot"]["public"]["room"]["id"] == room

        refused = await wire.ask_for(room, "message.send", {"text": "hi"})
        assert (refused["type"], refused["code"]) == ("error", "auth.required")


async def test_a_message_is_acknowledged_and_heard_by_everyone_with_its_number(
    house: House, room: str, owner: str, guest: str
):
    async with house.enter(owner) as writer, house.wire(house.second) as reader:
        await reader.hello()
        await reader.join(room)
        await writer.join(room)

        message = await writer.say(room, "first")

        heard = await reader.event("message.sent", message=message)
        assert heard["body"] | {"text": "first", "name": "Olga", "role": "owner"} == heard["body"]
        assert heard == await writer.event("message.sent", message=message)
        assert [seq for seq, _, _ in house.backstage.log(stream=room)] == [1]
        assert heard["seq"] == 1


async def test_the_same_command_again_gets_the_same_answer_and_happens_once(
    house: House, room: str, owner: str
):
    async with house.enter(owner) as wire:
        once = await wire.ask_for(room, "message.send", {"text": "once"})
        again = await wire.ask_for(room, "message.send", {"text": "once"}, id=once["id"])
        other = await wire.ask_for(room, "message.send", {"text": "other"}, id=once["id"])
        assert again == {**once, "repeated": True}
        assert (other["type"], other["code"]) == ("error", "command.reused")
        assert house.backstage.texts(stream=room) == ["once"]


async def test_resume_replays_what_was_missed_and_nothing_else(house: House, room: str, owner: str):
    async with house.enter(owner) as writer:
        async with house.wire() as reader:
            await reader.hello()
            joined = await reader.join(room)
            await writer.say(room, "heard")
            heard = await reader.event("message.sent", text="heard")
            reader.abort()

        for text in ("missed 1", "missed 2"):
            await writer.say(room, text)

        async with house.wire(house.second) as again:
            await again.hello()
            back = await again.join(room, after=heard["seq"], epoch=joined["epoch"])
            assert (back["mode"], back["seq"]) == ("replay", heard["seq"] + 2)
            await again.event("message.sent", text="missed 2")
            await writer.say(room, "live")
            await again.event("message.sent", text="live")
            assert [e["body"]["text"] for e in again.events(room)] == ["missed 1", "missed 2", "live"]
            assert again.ranges(room) == [(2, 3), (4, 4)]

        async with house.wire() as level:
            await level.hello()
            nothing = await level.join(room, after=heard["seq"] + 3, epoch=joined["epoch"])
            assert nothing["mode"] == "replay"


@pytest.mark.parametrize("position", [{"after": 0, "epoch": 99}, {"after": 999, "epoch": 1}, {"after": 0}])
async def test_a_position_that_means_nothing_here_gets_a_snapshot(
    house: House, room: str, owner: str, position
):
    async with house.enter(owner) as wire:
        await wire.say(room, "a")
        await wire.send("join", streams=[{"stream": room, **position}])
        assert (await wire.expect("joined"))["mode"] == "resync"


async def test_a_position_below_what_was_pruned_gets_a_snapshot(house: House, room: str, owner: str):
    async with house.enter(owner) as wire:
        for n in range(4):
            await wire.say(room, str(n))
        house.backstage.prune(stream=room, keep=2)
        assert (await wire.join(room, after=1, epoch=1))["mode"] == "resync"
        assert (await wire.join(room, after=2, epoch=1))["mode"] == "replay"


async def test_ask_tells_what_became_of_commands(house: House, room: str, owner: str):
    async with house.enter(owner) as wire:
        done = await wire.ask_for(room, "message.send", {"text": "done"})
        never = new_id()
        await wire.send("ask", ids=[done["id"], never])
        told = await wire.expect("told")
        assert told["answers"] == {done["id"]: done["answer"], never: None}


async def test_ping_is_answered_with_the_servers_time(house: House):
    async with house.wire() as wire:
        await wire.send("ping", at=12.5)
        pong = await wire.expect("pong")
        assert pong["at"] == 12.5
        assert pong["time"] > 1_600_000_000_000


BAD = [
    "{",
    "[1]",
    "{}",
    "null",
    '"text"',
    '{"type":"disconnect"}',
    '{"type":"websocket.close"}',
    '{"type":"livesale.doorbell","data":"x"}',
    '{"type":"ping","at":NaN}',
    '{"type":"ping","extra":1}',
    '{"type":"ping","at":' + "9" * 5000 + "}",
    "[" * 60_000,
    '{"type":"join","streams":"all"}',
    '{"type":"join","streams":[{"stream":"not-an-id"}]}',
    '{"type":"do","id":"x","stream":"y","name":"message.send","body":{}}',
    '{"type":"ask","ids":[1]}',
    "x" * 70_000,
    b"\x00\x01",
    b'{"type":"ping"}',
]


async def test_bad_frames_are_answered_and_the_socket_stays(house: House):
    async with house.wire() as wire:
        for bad in BAD:
            await wire.send_raw(bad)
            error = await wire.expect("error")
            assert error["code"] in {"frame.invalid", "frame.too_large", "frame.binary"}, bad[:60]
            await wire.send("ping")
            await wire.expect("pong")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "no.such"}, "command.unknown"),
        ({"name": "member.removed_elsewhere"}, "command.unknown"),
        ({"body": {"text": 1}}, "command.invalid"),
        ({"body": {"text": "a", "more": 1}}, "command.invalid"),
        ({"body": {"text": "a\u0000b"}}, "command.invalid"),
        ({"body": {"text": " "}}, "text.empty"),
        ({"body": {"text": "x" * 17_000}}, "frame.too_large"),
        ({"id": "6f1c5c9e-8b1f-4a52-9a43-2d6b0a3a1c11"}, "command.invalid"),
        ({"id": "01000000-0000-7000-8000-000000000000"}, "command.too_old"),
        ({"stream": "0196a0e0-0000-7000-8000-000000000000"}, "stream.unknown"),
    ],
)
async def test_bad_commands_are_refused_by_name(house: House, room: str, owner: str, change, code):
    async with house.enter(owner) as wire:
        frame = {"id": new_id(), "stream": room, "name": "message.send", "body": {"text": "a"}} | change
        await wire.send("do", **frame)
        error = await wire.expect("error")
        assert (error["code"], error.get("id")) == (code, frame["id"])
        assert house.backstage.texts(stream=room) == []


async def test_too_many_bad_frames_end_the_socket_with_the_code_that_means_stop(house: House):
    async with house.wire() as wire:
        for _ in range(40):
            await wire.send_raw("{")
        assert await wire.expect_close() == 4400
        assert {"type": "bye", "code": 4400, "reason": "too_many_errors"}.items() <= wire.frames[-1].items()


async def test_leaving_ends_the_news_of_that_stream_only(house: House, room: str, owner: str):
    other = house.backstage.room(owner=owner)
    async with house.enter(owner) as writer, house.wire() as reader:
        await reader.hello()
        await reader.join(room)
        await reader.join(other)
        await reader.send("leave", streams=[room])
        await reader.send("ping")
        await reader.expect("pong")
        await writer.say(room, "not for you")
        await writer.say(other, "for you")
        await reader.event("message.sent", text="for you")
        assert reader.events(room) == []


async def test_too_many_streams_on_one_socket_are_refused(house: House, room: str):
    async with house.wire() as wire:
        await wire.send("join", streams=[{"stream": new_id()} for _ in range(65)])
        assert (await wire.expect("error"))["code"] == "stream.too_many"


async def test_a_closed_room_looks_like_one_that_does_not_exist(house: House, owner: str, guest: str):
    closed = house.backstage.room(owner=owner, open=False)
    async with house.enter(guest) as wire:
        for stream in (closed, new_id()):
            await wire.send("join", streams=[{"stream": stream}])
            left = await wire.expect("left", stream=stream)
            assert left["code"] == "stream.unknown"


async def test_signals_reach_others_are_not_kept_and_the_viewers_are_counted(
    house: House, room: str, owner: str
):
    async with house.wire() as first, house.wire(house.second) as second:
        await first.hello()
        await second.hello()
        await first.join(room)
        await second.join(room)
        await first.wait(
            lambda f: f["type"] == "values" and f["values"].get("viewers", [0, 0])[1] == 2, "two viewers"
        )
        await first.send("tell", stream=room, name="reaction", value="heart")
        await second.wait(
            lambda f: f["type"] == "values" and any(k.startswith("reaction") for k in f["values"]),
            "the reaction",
        )
        async with house.wire(house.second) as late:
            await late.hello()
            await late.join(room)
            # a process repeats what it counts once a second: the first that a newcomer hears may be older
            await late.wait(
                lambda f: f["type"] == "values" and f["values"].get("viewers", [0, 0])[1] >= 2, "two viewers"
            )
            told = [key for f in late.frames if f["type"] == "values" for key in f["values"]]
            assert not any(key.startswith("reaction") for key in told)


async def test_frames_are_json_objects_of_known_types(house: House, room: str, owner: str):
    async with house.enter(owner) as wire:
        await wire.join(room)
        await wire.say(room, "x")
        await wire.event("message.sent")
        assert {f["type"] for f in wire.frames} <= {"hello", "joined", "events", "values", "ack", "beat"}
        assert json.dumps(wire.frames, allow_nan=False)
