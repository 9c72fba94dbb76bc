"""A new subject works over the wire, resumes and is in the snapshot: nothing in the log or the wire knows of it."""

from __future__ import annotations

from tests.wire.conftest import open_house


async def test_a_subject_of_its_own_over_the_wire():
    with open_house(1, application="tests.sample_subject.asgi:application") as house:
        owner = house.backstage.person(name="Olga")
        room = house.backstage.room(owner=owner)
        async with house.enter(owner) as wire, house.wire() as reader:
            await reader.hello()
            joined = await reader.join(room)
            assert joined["snapshot"]["public"]["tally"] == {"total": 0, "times": 0}
            answer = await wire.ask_for(room, "sample.count", {"by": 3})
            assert answer["answer"] == {"total": 3}
            assert (await reader.event("sample.counted"))["body"] == {"person": owner, "by": 3, "total": 3}
            refused = await wire.ask_for(room, "sample.count", {"trouble": "refuse"})
            assert (refused["code"], refused["message"]) == ("sample.enough", "That is enough.")
            poisoned = await wire.ask_for(room, "sample.count", {"trouble": "raise"})
            assert poisoned["code"] == "server.error"
            system = await wire.ask_for(room, "sample.count_on", {"by": 1})
            assert system["code"] == "command.unknown"
            # a promise is kept by the process's own pump
            await wire.ask_for(room, "sample.later", {"streams": [room], "by": 4})
            assert (await reader.event("sample.counted", by=4))["body"]["total"] == 7
        async with house.wire() as again:
            await again.hello()
            await again.join(room, after=0, epoch=joined["epoch"])
            await again.event("sample.counted", by=4)
            assert [e["body"]["total"] for e in again.events(room)] == [3, 7]
