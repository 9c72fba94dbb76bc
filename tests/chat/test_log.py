"""One transaction for many commands: numbers, receipts, refusals, poison, promises, time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from chat.log import clock, pump, reading, streams
from chat.log.errors import Refused
from chat.log.execute import build, execute
from chat.log.lane import Lane
from chat.log.models import Audience, Event, Outbox, Receipt, StreamHead
from chat.log.transaction import RECEIPT_RETENTION
from chat.log.visibility import Viewer, visible, visible_q
from chat.messages.models import Message
from chat.moderation.models import AuditEntry, Sanction
from tests.chat.world import World, events, numbers, request, run
from tests.sample_subject import commands as sample

pytestmark = pytest.mark.database


def code_of(refused) -> str:
    return refused.error.code


def counts(stream: UUID) -> list[int]:
    bodies = Event.objects.filter(stream_id=stream, kind="sample.counted").order_by("seq")
    return [body["by"] for body in bodies.values_list("body", flat=True)]


# --- numbers --------------------------------------------------------------------------------------------------------


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


# --- receipts -------------------------------------------------------------------------------------------------------


def test_the_same_id_gets_the_same_answer_whatever_happened_since(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    run(once)
    world.do("sample.count", world.owner, by=10)

    again = request(world.room, "sample.count", world.guest, by=3, id=once.client_id)
    run(again)

    assert (again.answer, again.repeated) == ({"total": 3}, True)
    assert counts(world.room) == [3, 10]


def test_an_id_with_another_payload_name_or_stream_is_refused(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    run(once)
    others = [
        request(world.room, "sample.count", world.guest, by=4, id=once.client_id),
        request(world.room, "message.send", world.guest, text="3", id=once.client_id),
        request(world.another_room(), "sample.count", world.guest, by=3, id=once.client_id),
    ]
    for other in others:
        run(other)
        assert code_of(other) == "command.reused"
    assert counts(world.room) == [3]


def test_ids_belong_to_their_sender(world: World):
    mine = request(world.room, "sample.count", world.guest, by=3)
    yours = request(world.room, "sample.count", world.member, by=4, id=mine.client_id)
    run(mine, yours)
    assert (mine.error, yours.error) == (None, None)
    assert counts(world.room) == [3, 4]


def test_twice_in_one_batch_is_done_once(world: World):
    once = request(world.room, "sample.count", world.guest, by=3)
    twin = request(world.room, "sample.count", world.guest, by=3, id=once.client_id)
    fake = request(world.room, "sample.count", world.guest, by=9, id=once.client_id)
    elsewhere = request(world.another_room(), "sample.count", world.guest, by=3, id=once.client_id)
    run(once, twin, fake, elsewhere)
    assert (once.answer, once.repeated) == ({"total": 3}, False)
    assert (twin.answer, twin.repeated) == ({"total": 3}, True)
    assert code_of(fake) == code_of(elsewhere) == "command.reused"
    assert counts(world.room) == [3]


def test_a_refusal_leaves_no_receipt_and_is_judged_anew(world: World):
    world.do("room.configure", locked=True)
    early = request(world.room, "message.send", world.member, text="hello")
    twin = request(world.room, "message.send", world.member, text="hello", id=early.client_id)
    run(early, twin)
    assert code_of(early) == code_of(twin) == "room.locked"
    assert not Receipt.objects.filter(client_id=early.client_id).exists()

    world.do("room.configure", locked=False)
    late = request(world.room, "message.send", world.member, text="hello", id=early.client_id)
    run(late)
    assert late.error is None
    assert Message.objects.filter(room_id=world.room).count() == 1


def test_after_a_ban_a_repeat_still_gets_its_first_answer_and_nothing_new_goes_in(world: World):
    once = request(world.room, "message.send", world.member, text="hello")
    run(once)
    world.do("member.ban", person=str(world.member))
    again = request(world.room, "message.send", world.member, text="hello", id=once.client_id)
    new = request(world.room, "message.send", world.member, text="more")
    run(again, new)
    assert again.answer == once.answer
    assert code_of(new) == "member.banned"


def test_what_is_ordered_after_the_ban_in_the_same_batch_is_refused(world: World):
    before, ban, after = (
        request(world.room, "message.send", world.member, text="before"),
        request(world.room, "member.ban", world.owner, person=str(world.member)),
        request(world.room, "message.send", world.member, text="after"),
    )
    run(before, ban, after)
    assert (before.error, ban.error, code_of(after)) == (None, None, "member.banned")


def test_an_id_older_than_the_receipts_is_refused_and_a_younger_one_is_not(world: World):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    with clock.frozen(moment):

        def made(at: datetime) -> UUID:
            return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)

        old = request(
            world.room,
            "sample.count",
            world.guest,
            id=made(moment - RECEIPT_RETENTION - timedelta(seconds=1)),
        )
        young = request(
            world.room,
            "sample.count",
            world.guest,
            id=made(moment - RECEIPT_RETENTION + timedelta(seconds=1)),
        )
        run(old, young)
    assert (code_of(old), young.error) == ("command.too_old", None)


def test_receipts_past_the_retention_go(world: World):
    with clock.frozen() as frozen:
        once = request(world.room, "sample.count", world.guest, by=1)
        run(once)
        frozen.advance(RECEIPT_RETENTION.total_seconds() + 1)
        streams.drop_receipts(older_than=clock.now() - RECEIPT_RETENTION)
        again = request(world.room, "sample.count", world.guest, by=1, id=once.client_id)
        run(again)
    assert code_of(again) == "command.too_old"
    assert counts(world.room) == [1]


# --- refusals and poison --------------------------------------------------------------------------------------------


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


# --- promises -------------------------------------------------------------------------------------------------------


def test_a_follow_up_happens_in_the_other_stream_once(world: World):
    other = world.another_room()
    later = request(world.room, "sample.later", world.guest, streams=[other], by=4)
    outcome = run(later)
    assert outcome.promised_now
    assert counts(other) == []
    assert pump.pump_until_quiet() == 1
    assert counts(other) == [4]
    run(request(world.room, "sample.later", world.guest, streams=[other], by=4, id=later.client_id))
    assert pump.pump_until_quiet() == 0
    assert counts(other) == [4]


def test_what_is_due_happens_when_its_time_has_come(world: World):
    with clock.frozen() as frozen:
        outcome = run(request(world.room, "sample.later", world.guest, streams=[world.room], seconds=60))
        assert not outcome.promised_now
        frozen.advance(59)
        assert pump.pump_until_quiet() == 0
        frozen.advance(1)
        assert pump.pump_until_quiet() == 1
    assert counts(world.room) == [1]
    assert not Outbox.objects.exists()


def test_a_promise_that_fails_is_kept_waits_longer_each_time_and_is_given_up_at_last(
    world: World, monkeypatch
):
    def trouble() -> None:
        raise ZeroDivisionError

    sample.Tally.in_write = trouble
    with clock.frozen() as frozen:
        sample.Tally.in_write = None
        world.do("sample.later", world.guest, streams=[str(world.room)])
        sample.Tally.in_write = trouble
        waits = []
        while not Outbox.objects.get().failed:
            assert pump.pump_once() == 1
            row = Outbox.objects.get()
            if not row.failed:
                waits.append((row.leased_until - clock.now()).total_seconds())
                frozen.set(row.leased_until)
        sample.Tally.in_write = None
        frozen.advance(10_000)
        assert pump.pump_until_quiet() == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert counts(world.room) == []


def test_a_promise_to_a_stream_that_stays_locked_is_never_given_up(world: World, monkeypatch):
    from chat.log import transaction as log_transaction
    from chat.log.errors import busy

    def locked(batch, requests):
        batch.heads = {}
        for r in requests:
            r.error = busy()
        return []

    with clock.frozen() as frozen:
        world.do("sample.later", world.guest, streams=[str(world.room)])
        with monkeypatch.context() as patch:
            patch.setattr(log_transaction, "_leave_out_locked", locked)
            for _ in range(pump.MAX_ATTEMPTS + 3):
                assert pump.pump_once() == 1
                frozen.advance(301)
        assert pump.pump_until_quiet() == 1
    assert counts(world.room) == [1]


def test_an_effect_is_called_until_it_succeeds_and_given_up_at_last(world: World):
    with clock.frozen() as frozen:
        world.do("sample.later", world.guest, streams=[], effects=["works", "broken"])
        pump.pump_until_quiet()
        assert sorted(sample.calls) == ["broken", "works"]
        assert list(Outbox.objects.values_list("attempts", "failed")) == [(1, False)]
        for _ in range(30):
            frozen.advance(301)
            pump.pump_until_quiet()
        assert Outbox.objects.get().failed
    assert sample.calls.count("broken") == pump.MAX_ATTEMPTS
    assert sample.calls.count("works") == 1


def test_a_promise_that_nobody_understands_is_put_aside(world: World):
    Outbox.objects.create(id=uuid4(), stream_id=world.room, name="no.such", payload={}, at=clock.now())
    pump.pump_until_quiet()
    assert Outbox.objects.get().failed


# --- reading --------------------------------------------------------------------------------------------------------

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


# --- the audit ------------------------------------------------------------------------------------------------------


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


# --- the lane's queues ----------------------------------------------------------------------------------------------


def lane_with(*requests) -> Lane:
    lane = Lane(lambda outcome: None)
    for r in requests:
        lane.submit(r)
    return lane


def test_a_flooded_stream_delays_a_quiet_one_by_one_batch_at_most():
    loud, quiet = uuid4(), uuid4()
    flood = [request(loud, "sample.count", uuid7()) for _ in range(3_000)]
    lane = lane_with(*flood, request(quiet, "sample.count", uuid7()))
    drawn = lane._draw()
    assert len(drawn) == 500
    assert any(r.stream_id == quiet for r in drawn)
    assert [r for r in drawn if r.stream_id == loud] == flood[: len(drawn) - 1]


def test_many_streams_share_a_batch_and_each_keeps_its_order():
    rooms = [uuid4() for _ in range(40)]
    queued = {room: [request(room, "sample.count", uuid7()) for _ in range(50)] for room in rooms}
    lane = lane_with(*(r for room in rooms for r in queued[room]))
    taken: dict[UUID, list] = {room: [] for room in rooms}
    while lane.waiting:
        for r in lane._draw():
            taken[r.stream_id].append(r)
        sizes = [len(t) for t in taken.values()]
        assert max(sizes) - min(sizes) <= 6 or not lane.waiting
    assert taken == queued


def test_queues_are_bounded_per_person_and_stream():
    lane = Lane(lambda outcome: None)
    somebody, room = uuid7(), uuid4()
    for _ in range(50):
        lane.submit(request(uuid4(), "sample.count", somebody))
    with pytest.raises(Refused, match=r"server\.busy"):
        lane.submit(request(uuid4(), "sample.count", somebody))
    for _ in range(5_000):
        lane.submit(request(room, "sample.count", uuid7()))
    with pytest.raises(Refused, match=r"server\.busy"):
        lane.submit(request(room, "sample.count", uuid7()))
    while lane.waiting:
        lane._draw()
    lane.submit(request(room, "sample.count", somebody))
    assert lane._per_actor == {somebody.int: 1}


def test_execute_refuses_what_a_person_may_not_name(world: World):
    for name in ("sample.count_on", "no.such"):
        with pytest.raises(Refused, match=r"command\.unknown"):
            execute(world.room, name, {"by": 1}, actor_id=world.owner)
