"""One transaction for many commands: numbers, refusals, poison, who sees what, the audit."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from chat.log import clock, reading, streams
from chat.log.errors import Refused
from chat.log.execute import build
from chat.log.models import Audience, Event, Outbox, Receipt, StreamHead
from chat.log.visibility import Viewer, visible, visible_q
from chat.messages.models import Message
from chat.moderation.models import AuditEntry, Sanction
from tests.chat.world import World, code_of, counts, events, numbers, request, run

pytestmark = pytest.mark.database


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_one_batch_numbers_each_stream_by_itself_in_order_of_arrival(world: World):
    other = world.another_room()
    before = {room: numbers(room)[-1] for room in (world.room, other)}
    mixed = [
        request(room, "sample.count", world.guest, by=n) for n in range(1, 6) for room in (world.room, other)
    ]

    outcome = run(*mixed)

    assert all(r.error is None for r in mixed)
    for room in (world.room, other):
        assert counts(room) == [1, 2, 3, 4, 5]
        assert numbers(room) == list(range(1, before[room] + 6))
        assert StreamHead.objects.get(stream_id=room).seq == before[room] + 5
    told = {c.stream_id: (c.first, c.last, [e.seq for e in c.events]) for c in outcome.committed}
    for room in (world.room, other):
        first = before[room] + 1
        assert told[room] == (first, first + 4, list(range(first, first + 5)))


def test_what_one_command_changes_the_next_in_the_batch_sees(world: World):
    first, second, third = (request(world.room, "sample.count", world.guest, by=n) for n in (5, 7, 1))
    run(first, second, third)
    assert [r.answer for r in (first, second, third)] == [{"total": 5}, {"total": 12}, {"total": 13}]


def test_unknown_streams_and_wrong_kinds_are_refused_one_by_one(world: World):
    shop = streams.create_stream(kind="shop", tenant_id=None)
    nowhere, wrong, right = (request(s, "sample.count", world.guest) for s in (uuid4(), shop, world.room))
    run(nowhere, wrong, right)
    assert (code_of(nowhere), code_of(wrong), right.error) == ("stream.unknown", "stream.wrong_kind", None)


# --- refusals and poison ----------------------------------------------------------------------------------------------


def everything() -> dict[str, int]:
    return {m.__name__: m.objects.count() for m in (Event, Receipt, Outbox, Message, AuditEntry, Sanction)}


@pytest.mark.parametrize(
    ("name", "actor", "body", "code"),
    [
        ("sample.count", "guest", {"trouble": "refuse"}, "sample.enough"),
        ("message.send", "guest", {"text": "\u202e"}, "text.invalid"),
        ("message.delete", "member", {"message": str(uuid4())}, "message.unknown"),
        ("message.pin", "member", {"message": str(uuid4())}, "permission.denied"),
        ("member.ban", "member", {"person": "owner"}, "permission.denied"),
        ("member.ban", "moderator", {"person": "owner"}, "permission.denied"),
        ("member.ban", "moderator", {"person": "member", "everywhere": True}, "permission.denied"),
        ("member.ban", "owner", {"person": str(uuid4())}, "person.unknown"),
        ("member.timeout", "guest", {"person": "member", "seconds": 10}, "permission.denied"),
        ("member.hide", "member", {"person": "guest"}, "permission.denied"),
        ("member.clear", "member", {"person": "guest"}, "permission.denied"),
        ("member.appoint", "moderator", {"person": "guest", "role": "host"}, "permission.denied"),
        ("member.leave", "owner", {}, "member.owner_stays"),
        ("room.configure", "moderator", {"name": "Mine"}, "permission.denied"),
        ("room.archive", "moderator", {}, "permission.denied"),
        ("room.announce", "member", {"text": "x"}, "permission.denied"),
        ("invite.create", "moderator", {}, "permission.denied"),
    ],
)
def test_a_refused_command_leaves_no_trace(world: World, name: str, actor: str, body: dict, code: str):
    people = {k: str(v) for k, v in vars(world).items()}
    body = body | ({"person": people.get(body["person"], body["person"])} if "person" in body else {})
    before, head = everything(), StreamHead.objects.get(stream_id=world.room).seq
    with pytest.raises(Refused) as refused:
        world.do(name, getattr(world, actor), **body)
    assert refused.value.code == code
    assert everything() == before
    assert StreamHead.objects.get(stream_id=world.room).seq == head


@pytest.mark.parametrize("trouble", ["raise", "sql", "row"])
def test_of_a_batch_only_the_poisoned_commands_fail(world: World, trouble: str):
    batch = [
        request(world.room, "sample.count", world.guest, by=n, trouble=trouble if n in (3, 17) else "")
        for n in range(1, 25)
    ]
    run(*batch)
    failed = {r.body.by for r in batch if r.error is not None}
    assert failed == {3, 17}
    assert {code_of(r) for r in batch if r.error is not None} == {"server.error"}
    assert counts(world.room) == [n for n in range(1, 25) if n not in failed]
    assert numbers(world.room) == list(range(1, len(numbers(world.room)) + 1))


def test_a_poisoned_command_that_is_sent_again_fails_again_and_others_go_on(world: World):
    bad = request(world.room, "sample.count", world.guest, trouble="raise")
    run(bad)
    again = request(world.room, "sample.count", world.guest, trouble="raise", id=bad.client_id)
    good = request(world.room, "sample.count", world.guest, by=2)
    run(again, good)
    assert (code_of(again), good.answer) == ("server.error", {"total": 2})


@pytest.mark.parametrize(
    "text", ["a\0b", "\ud800", "\\u0000"], ids=["U+0000", "half a surrogate pair", "the letters"]
)
def test_what_a_database_cannot_store_is_refused_at_the_door(world: World, text: str):
    def ask() -> None:
        build(world.room, "member.clear", {"person": str(world.guest), "reason": text}, actor_id=world.owner)

    if text == "\\u0000":
        ask()
    else:
        with pytest.raises(Refused, match=r"command\.invalid"):
            ask()


# --- reading ----------------------------------------------------------------------------------------------------------


AUDIENCES = st.sampled_from(
    [(Audience.PUBLIC, False), (Audience.STAFF, False), (Audience.PERSON, True), (Audience.AUTHOR, True)]
)
PEOPLE = [UUID(int=n) for n in range(1, 4)]


@given(
    log=st.lists(st.tuples(AUDIENCES, st.sampled_from(PEOPLE)), max_size=12),
    who=st.sampled_from([None, *PEOPLE]),
    staff=st.booleans(),
)
@pytest.mark.django_db
def test_the_rule_of_who_sees_what_is_the_same_in_python_and_in_sql(log, who, staff):
    stream = uuid4()
    viewer = Viewer(who, staff)
    with transaction.atomic():
        Event.objects.bulk_create(
            Event(
                stream_id=stream,
                seq=seq,
                kind="x",
                audience=audience,
                person_id=person if named else None,
                body={},
                at=clock.now(),
            )
            for seq, ((audience, named), person) in enumerate(log, 1)
        )
        in_sql = list(
            Event.objects.filter(visible_q(viewer), stream_id=stream)
            .order_by("seq")
            .values_list("seq", flat=True)
        )
        transaction.set_rollback(True)
    in_python = [
        seq
        for seq, ((audience, named), person) in enumerate(log, 1)
        if visible(audience, person if named else None, viewer)
    ]
    assert in_sql == in_python


def test_pruning_raises_the_floor_and_a_reader_behind_it_is_told(world: World):
    for n in range(10):
        world.do("sample.count", world.guest, by=n)
    head = reading.positions([world.room])[world.room]
    assert streams.prune(world.room, keep=4) == head.seq - 4
    now = reading.positions([world.room])[world.room]
    assert (now.floor, now.seq) == (head.seq - 4, head.seq)
    assert numbers(world.room) == list(range(now.floor + 1, now.seq + 1))
    assert streams.prune(world.room, keep=100) == 0
    assert streams.prune(world.room, keep=0) == 4
    world.do("sample.count", world.guest, by=1)
    assert numbers(world.room) == [head.seq + 1]


def test_an_event_for_nobody_in_particular_is_refused_by_the_database(world: World):
    with pytest.raises(DatabaseError), transaction.atomic():
        Event.objects.create(
            stream_id=world.room, seq=999, kind="x", audience=Audience.PERSON, body={}, at=clock.now()
        )


def test_the_sample_subject_is_in_the_snapshot_and_the_log_without_a_change_to_either(world: World):
    world.do("sample.count", world.guest, by=2)
    world.do("sample.count", world.guest, by=3)
    snapshot = reading.snapshot(world.room, Viewer(None))
    assert b'"tally":{"total":5,"times":2}' in snapshot
    assert [kind for _, kind in events(world.room)][-2:] == ["sample.counted", "sample.counted"]


# --- the audit --------------------------------------------------------------------------------------------------------


def test_the_database_refuses_to_change_or_delete_the_audit(world: World, audit_guarded: None):
    world.do("member.ban", person=str(world.guest), reason="spam")
    entry = AuditEntry.objects.get(action="member.ban")
    assert (entry.actor_id, entry.target_id, entry.reason) == (world.owner, world.guest, "spam")
    other = {
        "reason": "he deserved it",
        "id": uuid7(),
        "tenant_id": uuid4(),
        "stream_id": uuid4(),
        "actor_id": world.moderator,
        "action": "member.hide",
        "target_id": None,
        "details": {},
        "at": clock.now(),
    }
    assert set(other) == {f.name for f in AuditEntry._meta.concrete_fields}
    row = AuditEntry.objects.filter(id=entry.id)
    for name, value in other.items():
        for changes in ({name: value}, {"reason": "", name: value}):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                row.update(**changes)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        row.delete()
    assert row.values().get() == {
        f.attname: getattr(entry, f.attname) for f in AuditEntry._meta.concrete_fields
    }
    # the one thing that may go: the words about somebody who is erased
    assert row.update(reason="") == 1
    assert row.get().target_id == world.guest
