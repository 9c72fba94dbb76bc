"""Who may be here: origins, sessions, tickets, tokens; what ends a stay."""

from __future__ import annotations

import pytest

from tests.wire.conftest import House
from tests.wire.minimal_client import talk


async def test_a_page_with_a_session_is_signed_in(house: House, guest: str):
    async with house.page(house.backstage.session(person=guest)) as wire:
        hello = await wire.hello()
        assert hello["you"] == {"id": guest, "name": "Gus"}
        assert hello["resume"]


async def test_a_cookie_without_a_page_counts_for_nothing(house: House, guest: str):
    cookie = f"sessionid={house.backstage.session(person=guest)}"
    async with house.wire(additional_headers={"Cookie": cookie}) as wire:
        assert (await wire.hello()).get("you") is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1.evil.example:{port}",
        "http://127.0.0.1:1",
    ],
)
async def test_pages_of_other_origins_get_the_code_that_means_stop(house: House, guest: str, origin: str):
    session = house.backstage.session(person=guest)
    async with house.page(session, origin=origin.format(port=house.first.port)) as wire:
        assert await wire.expect_close() == 4403
        assert [f["type"] for f in wire.frames] == ["bye"]


@pytest.mark.parametrize("said", ["0", "2", "1.0", "-1", "", "%31", "9" * 40, "one"])
async def test_a_version_that_is_not_served_gets_the_code_that_means_stop(house: House, said: str):
    async with house.wire(query=f"?protocol={said}") as wire:
        assert await wire.expect_close() == 4426
        assert [f["type"] for f in wire.frames] == ["bye"]


@pytest.mark.parametrize("query", ["", "?protocol=1", "?from=app&protocol=1", "?protocols=2&version=3"])
async def test_a_client_that_says_its_version_or_nothing_is_greeted(house: House, query: str):
    async with house.wire(query=query) as wire:
        assert (await wire.hello())["protocol"] == 1


async def test_a_ticket_signs_in_once(house: House, guest: str):
    ticket = house.backstage.ticket(person=guest)
    async with house.wire() as wire, house.wire(house.second) as thief:
        assert (await wire.auth(ticket))["you"]["id"] == guest
        await thief.hello()
        await thief.send("auth", ticket=ticket)
        assert (await thief.expect("error"))["code"] == "auth.failed"


async def test_late_foreign_and_invented_tickets_are_refused(house: House, guest: str):
    async with house.page() as wire:
        await wire.hello()
        for ticket in (
            house.backstage.late_ticket(person=guest),
            house.backstage.ticket(person=guest, origin="https://elsewhere.example"),
            "invented",
            "",
        ):
            await wire.send("auth", ticket=ticket)
            assert (await wire.expect("error"))["code"] == "auth.failed"
        await wire.send("auth", ticket=house.backstage.ticket(person=guest, origin=house.first.origin))
        assert (await wire.hello())["you"]["id"] == guest


async def test_a_resume_token_signs_in_on_any_process_and_a_changed_one_does_not(house: House, guest: str):
    async with house.enter(guest) as wire:
        token = next(f for f in wire.frames if f["type"] == "hello" and f.get("resume"))["resume"]
    async with house.wire(house.second) as again:
        await again.hello()
        await again.send("auth", resume=token[:-2] + ("aa" if token[-2:] != "aa" else "bb"))
        assert (await again.expect("error"))["code"] == "auth.failed"
        await again.send("auth", resume=token)
        assert (await again.hello())["you"]["id"] == guest


async def test_a_guest_becomes_somebody_in_place(house: House, room: str, owner: str):
    async with house.wire() as wire:
        await wire.hello()
        assert (await wire.join(room))["snapshot"]["personal"]["me"]["role"] == "guest"
        await wire.send("auth", ticket=house.backstage.ticket(person=owner))
        assert (await wire.hello())["you"]["id"] == owner
        anew = await wire.expect("joined", stream=room)
        assert anew["mode"] == "resync"
        assert anew["snapshot"]["personal"]["me"]["role"] == "owner"
        await wire.say(room, "now I may")
        await wire.event("message.sent", text="now I may")


async def test_a_ban_puts_all_sockets_out_on_every_process_and_keeps_them_out(
    house: House, room: str, owner: str, guest: str
):
    async with (
        house.enter(owner) as host,
        house.enter(guest) as here,
        house.enter(guest, house.second) as there,
        house.wire(house.second) as other,
    ):
        await other.hello()
        for wire in (here, there, other):
            await wire.join(room)
        assert (await host.ask_for(room, "member.ban", {"person": guest}))["type"] == "ack"
        for wire in (here, there):
            assert (await wire.expect("left", stream=room))["code"] == "member.banned"
        await host.say(room, "after the ban")
        await other.event("message.sent", text="after the ban")
        for wire in (here, there):
            assert not [e for e in wire.events(room) if e["kind"] == "message.sent"]
            await wire.send("join", streams=[{"stream": room, "after": 0, "epoch": 1}])
            assert (await wire.expect("left", stream=room))["code"] == "member.banned"
            assert (await wire.ask_for(room, "message.send", {"text": "x"}))["code"] == "member.banned"


async def test_a_ban_over_the_whole_shop_reaches_its_other_rooms(house: House, owner: str, guest: str):
    here = house.backstage.room(owner=owner, shop=house.backstage.shop(owner=owner))
    there = house.backstage.sister_room(room=here)
    async with house.enter(owner) as host, house.enter(guest, house.second) as wire:
        await wire.join(there)
        await host.ask_for(here, "member.ban", {"person": guest, "everywhere": True})
        assert (await wire.expect("left", stream=there))["code"] == "member.banned"


async def test_closing_a_room_puts_out_who_is_no_member_and_nobody_else(
    house: House, room: str, owner: str, guest: str
):
    member = house.backstage.person(name="Mia")
    async with (
        house.enter(owner) as host,
        house.enter(guest, house.second) as stranger,
        house.enter(member) as inside,
    ):
        await inside.ask_for(room, "member.join")
        for wire in (stranger, inside, host):
            await wire.join(room)
        await host.ask_for(room, "room.configure", {"open": False})
        assert (await stranger.expect("left", stream=room))["code"] == "stream.unknown"
        await inside.event("room.changed", open=False)
        await inside.say(room, "still here")


async def test_another_role_brings_a_fresh_snapshot(house: House, room: str, owner: str, guest: str):
    async with house.enter(owner) as host, house.enter(guest, house.second) as wire:
        await wire.join(room)
        await host.ask_for(room, "member.appoint", {"person": guest, "role": "moderator"})
        anew = await wire.expect("joined", stream=room)
        assert anew["snapshot"]["personal"]["me"]["role"] == "moderator"
        await host.ask_for(room, "member.appoint", {"person": guest, "role": "member"})
        assert (await wire.expect("joined", stream=room))["snapshot"]["personal"]["me"]["role"] == "member"


async def test_who_is_hidden_writes_to_themselves_and_the_staff(
    house: House, room: str, owner: str, guest: str
):
    async with (
        house.enter(owner) as host,
        house.enter(guest) as author,
        house.enter(guest, house.second) as device,
        house.wire(house.second) as other,
    ):
        await other.hello()
        for wire in (host, author, device, other):
            await wire.join(room)
        await host.ask_for(room, "member.hide", {"person": guest})
        await author.say(room, "nobody hears")
        for wire in (host, author, device):
            await wire.event("message.sent", text="nobody hears")
        await host.say(room, "end")
        for wire in (host, other):
            await wire.event("message.sent", text="end")
        assert [e["body"]["text"] for e in other.events(room)] == ["end"]
        assert other.ranges(room)[-1][1] == host.ranges(room)[-1][1]


@pytest.mark.parametrize("how", ["session", "version"])
async def test_a_sign_in_that_ended_ends_its_sockets_everywhere(house: House, guest: str, how: str):
    session = house.backstage.session(person=guest)
    async with (
        house.page(session) as here,
        house.page(session, house.second) as there,
        house.wire() as nobody,
    ):
        for wire in (here, there, nobody):
            hello = await wire.hello()
        if how == "session":
            house.backstage.end_session(key=session)
        else:
            house.backstage.end_all_sessions(person=guest)
        assert await here.expect_close() == 4401
        assert await there.expect_close() == 4401
        assert nobody.close_code is None
        await nobody.send("auth", resume=here.frames[0]["resume"])
        assert (await nobody.expect("error"))["code"] == "auth.failed"
        assert hello is not None


async def test_one_person_has_so_many_sockets_and_the_oldest_go(house: House, guest: str):
    session = house.backstage.session(person=guest)
    wires = []
    try:
        for _ in range(13):
            wire = house.page(session)
            await wire.__aenter__()
            wires.append(wire)
            await wire.hello()
        assert await wires[0].expect_close() == 4409
        assert wires[1].close_code is None
    finally:
        for wire in wires:
            await wire.close()


async def test_after_a_restore_everybody_gets_a_fresh_snapshot(house: House, room: str, owner: str):
    async with house.enter(owner) as wire:
        before = await wire.join(room)
        house.backstage.new_epoch()
        anew = await wire.expect("joined", stream=room)
        assert anew["mode"] == "resync"
        assert anew["epoch"] > before["epoch"]
        await wire.say(room, "in the new epoch")
        await wire.event("message.sent", text="in the new epoch")


async def test_a_client_of_a_few_lines_joins_sends_and_resumes(
    house: House, room: str, owner: str, guest: str
):
    house.backstage.act(stream=room, name="message.send", actor=owner, body={"text": "before"})
    heard = await talk(f"{house.first.ws_url}/ws/", house.backstage.ticket(person=guest), room, "hello")
    assert heard.count("hello") == 1
    assert house.backstage.texts(stream=room) == ["before", "hello"]
