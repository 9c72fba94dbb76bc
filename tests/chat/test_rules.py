"""A room's rules against links and repeated texts: what they take for one, whom they bind, and until when."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from chat.log import clock
from chat.log.errors import Refused
from chat.messages.models import Message
from chat.moderation.book import REMEMBERED
from chat.moderation.filters import alike, has_insecure_link, has_link, skeleton
from chat.rooms.models import Room
from chat.rooms.services import create_room
from tests.chat.world import World, request, run

LINKS = [
    "https://shop.example/a?b=c",
    "look: HTTPS://SHOP.EXAMPLE",
    "http://shop.example",
    "ftp://files.example",
    "www.shop.example",
    "pay here: shop-example.com/pay",
    "paypa1.com.",
    "аррӏе.com",
    "https://münchen.example",
    "shop\u3002com",
    "ｓｈｏｐ．ｃｏｍ",
    "sh\u200bop.co\u200dm",
    "http\u00ads://shop.example",
]
NO_LINKS = [
    "sold 12 M x2",
    "wait...what",
    "I love it.Do you?",
    "19.90 or 21.50?",
    "a/b, and/or",
    "javascript:alert(1)",
    "data:text/html,x",
    "that is no.comment",
    "it begins at 20:15",
    "مرحبا، أريد وشاحين",
]


@pytest.mark.parametrize("text", LINKS)
def test_what_is_a_link(text: str) -> None:
    assert has_link(text)


@pytest.mark.parametrize("text", NO_LINKS)
def test_what_is_none(text: str) -> None:
    assert not has_link(text)


def test_which_links_are_not_https() -> None:
    assert [text for text in LINKS if has_insecure_link(text)] == [
        "http://shop.example",
        "ftp://files.example",
    ]


SPAM = "Best followers for your shop, cheap and fast, write to Bob"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello!", "hello"),
        ("HELLO", "heeelloooo"),
        ("🔥🔥🔥", "🔥"),
        ("me too", "me\u200b too\u00ad"),
        ("ｈｅｌｌｏ", "hello"),
        (SPAM, SPAM + " 77"),
        (SPAM, SPAM.upper() + "!!!"),
        (SPAM, SPAM.replace("Bob", "Bob7 now")),
        (SPAM, SPAM.replace("cheap", "chep")),
    ],
)
def test_what_is_the_same_again(one: str, other: str) -> None:
    assert alike(skeleton(one), skeleton(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hello", "hallo"),
        ("12", "13"),
        ("2 of 12 please", "3 of 12 please"),
        ("1", "11"),
        ("🔥", "❤️"),
        ("What is the blue scarf made of, and is it warm?", "Is there a red scarf too, as long as that one?"),
        (SPAM, "Best wishes to your shop and to everybody who writes here"),
    ],
)
def test_what_is_something_else(one: str, other: str) -> None:
    assert not alike(skeleton(one), skeleton(other))


# --- in a room ------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.database


def refused(world: World, text: str, actor: UUID | None = None) -> str:
    """The code with which a text is refused; '' when it is sent."""
    try:
        world.say(text, actor)
    except Refused as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("links", "owner", "moderator", "member", "insecure"),
    [
        ("everybody", "", "", "", "message.links_https"),
        ("staff", "", "", "message.links_staff", "message.links_staff"),
        ("off", "message.links_off", "message.links_off", "message.links_off", "message.links_off"),
    ],
)
def test_who_may_send_links(
    world: World, links: str, owner: str, moderator: str, member: str, insecure: str
) -> None:
    world.do("room.configure", world.moderator, links=links)
    assert refused(world, "https://a.example", world.owner) == owner
    assert refused(world, "http://b.example", world.moderator) == moderator
    assert refused(world, "https://c.example", world.member) == member
    assert refused(world, "http://d.example", world.member) == insecure
    assert refused(world, "without one", world.member) == ""


def test_in_a_sale_only_the_staff_send_links_until_it_says_otherwise(world: World) -> None:
    sale = create_room(
        tenant_id=world.tenant, kind="sale", name="A sale", owner_id=world.owner, now=clock.now()
    )
    assert Room.objects.get(id=sale).links == "staff"
    assert Room.objects.get(id=world.room).links == "everybody"


def test_only_who_may_set_the_pace_sets_the_rules(world: World) -> None:
    for body in ({"links": "off"}, {"repeat_seconds": 5}):
        with pytest.raises(Refused, match=r"permission\.denied"):
            world.do("room.configure", world.member, **body)
    for body in ({"links": "some"}, {"repeat_seconds": 601}, {"repeat_seconds": -1}):
        with pytest.raises(Refused, match=r"command\.invalid"):
            world.do("room.configure", world.owner, **body)


def test_the_same_again_is_refused_until_its_time_is_over(world: World) -> None:
    world.do("room.configure", world.moderator, repeat_seconds=60)
    assert refused(world, SPAM, world.member) == ""
    assert refused(world, SPAM + " 2", world.member) == "message.repeated"
    assert refused(world, "something else", world.member) == ""
    assert refused(world, SPAM.upper(), world.member) == "message.repeated"
    assert refused(world, SPAM, world.guest) == "", "somebody else has not said it"
    assert [refused(world, "Welcome!", world.moderator) for _ in range(3)] == ["", "", ""]
    world.do("room.configure", world.moderator, repeat_seconds=0)
    assert refused(world, SPAM, world.member) == ""
    world.do("room.configure", world.moderator, repeat_seconds=60)
    Message.objects.filter(author_id=world.member).update(at=clock.now() - timedelta(seconds=61))
    assert refused(world, SPAM, world.member) == ""


def test_rules_bind_within_one_batch_from_the_moment_they_are_set(world: World) -> None:
    batch = [
        request(world.room, "message.send", world.member, text="https://a.example"),
        request(world.room, "message.send", world.member, text="https://a.example"),
        request(world.room, "room.configure", world.owner, links="staff", repeat_seconds=30),
        request(world.room, "message.send", world.member, text="https://b.example"),
        request(world.room, "message.send", world.member, text="me too"),
        request(world.room, "message.send", world.member, text="Me, too!"),
        request(world.room, "room.configure", world.owner, repeat_seconds=0),
        request(world.room, "message.send", world.member, text="ME TOO"),
    ]
    run(*batch)
    told = [getattr(r.error, "code", "") for r in batch]
    assert told == ["", "", "", "message.links_staff", "", "message.repeated", "", ""]


def test_a_repeat_with_its_own_id_is_the_answer_of_the_first(world: World) -> None:
    """A client that asks again after a lost link says nothing twice."""
    world.do("room.configure", repeat_seconds=60)
    first = request(world.room, "message.send", world.member, text="once")
    again = request(world.room, "message.send", world.member, text="once", id=first.client_id)
    run(first)
    run(again)
    assert again.error is None
    assert again.repeated
    assert again.answer == first.answer


def test_what_is_remembered_of_a_person_is_bounded(world: World) -> None:
    world.do("room.configure", repeat_seconds=600)
    Message.objects.bulk_create(
        Message(
            id=UUID(int=n + 1),
            tenant_id=world.tenant,
            room_id=world.room,
            author_id=world.member,
            text=f"{n}",
            at=clock.now() - timedelta(seconds=400 - n),
        )
        for n in range(REMEMBERED + 5)
    )
    assert refused(world, "5", world.member) == "message.repeated"
    assert refused(world, "4", world.member) == "", "older than the latest twenty"
