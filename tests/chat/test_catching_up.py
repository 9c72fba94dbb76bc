"""Who was away hears what was missed, or gets a snapshot where what was missed does not tell all."""

from __future__ import annotations

from uuid import UUID

import pytest

from chat.log import execute, reading
from chat.realtime.joining import Question, _replays
from tests.chat.world import World

pytestmark = pytest.mark.database


def replayed(world: World, person: UUID | None, after: int, staff: bool | None = None) -> bool:
    """Whether what was missed is sent to this person event by event."""
    at = reading.positions([world.room])[world.room]
    (caught,) = _replays([Question(world.room, person, after, at.epoch, staff)])
    assert caught.reason == ""
    return bool(caught.frames)


def seq(world: World) -> int:
    return reading.positions([world.room])[world.room].seq


@pytest.mark.parametrize("role", ["moderator", "member"])
def test_whose_role_has_changed_meanwhile_begins_anew(world: World, role: str) -> None:
    """A moderator sees what was reported before; who is none any more is not left with it on the screen."""
    person = world.member if role == "moderator" else world.moderator
    world.do("member.join", world.guest)
    before = seq(world)
    world.say("hello")
    world.do("member.appoint", world.owner, person=str(person), role=role)
    world.say("good bye")
    assert not replayed(world, person, before)
    assert replayed(world, world.guest, before)
    assert replayed(world, None, before)
    # once they have begun anew with it, it is over
    assert replayed(world, person, seq(world) - 1)


def test_so_does_who_is_not_told_of_the_change(world: World) -> None:
    """Only the staff hear of those who work for the shop no longer."""
    before = seq(world)
    execute.execute(world.room, "member.recheck", {"person": str(world.member)})
    assert not replayed(world, world.member, before)
    assert replayed(world, world.moderator, before)


def test_who_says_as_what_they_had_it_begins_anew_when_they_are_something_else(world: World) -> None:
    """The event that told of it had come, and what they see now was lost with the link."""
    execute.execute(world.room, "member.recheck", {"person": str(world.member)})
    world.say("hello")
    heard = seq(world) - 1
    assert replayed(world, world.member, heard)
    assert replayed(world, world.member, heard, staff=False)
    assert not replayed(world, world.member, heard, staff=True)
    assert replayed(world, world.moderator, heard, staff=True)
    assert not replayed(world, world.moderator, heard, staff=False)
    assert replayed(world, None, heard, staff=False)
