"""What a transaction has promised happens once: in another stream, when its time has come, outside."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core.management import call_command

from chat.log import clock, pump, registry
from chat.log.models import Outbox
from tests.chat.world import World, counts, request, run
from tests.sample_subject import commands as sample

pytestmark = pytest.mark.database


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
    with clock.frozen() as time:
        for _ in range(pump.MAX_ATTEMPTS):
            assert not Outbox.objects.get().failed
            pump.pump_until_quiet()
            time.advance(301)
    assert Outbox.objects.get().failed


def test_a_promise_of_the_next_version_waits_for_a_process_that_understands_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    run(request(world.room, "sample.later", world.guest, streams=[world.room], by=4))
    with clock.frozen() as time:
        with monkeypatch.context() as older:
            older.delitem(registry.COMMANDS, "sample.count_on")
            pump.pump_until_quiet()
        assert counts(world.room) == []
        time.advance(5)
        pump.pump_until_quiet()
        assert counts(world.room) == [4]
    assert not Outbox.objects.exists()


def test_what_was_put_aside_is_taken_up_again_when_somebody_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
):
    run(request(world.room, "sample.later", world.guest, streams=[world.room], by=4))
    Outbox.objects.update(failed=True, attempts=pump.MAX_ATTEMPTS)
    call_command("retry_promises")
    assert capsys.readouterr().out == "1 sample.count_on\n"
    call_command("retry_promises", "another.name")
    assert pump.pump_until_quiet() == 0
    call_command("retry_promises", "sample.count_on")
    assert pump.pump_until_quiet() == 1
    assert counts(world.room) == [4]
    call_command("retry_promises")
    assert capsys.readouterr().out.endswith("Nothing was put aside.\n")
