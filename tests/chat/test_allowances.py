"""One allowance per person: what other processes have let in counts here, and nobody is kept in mind for ever."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from uuid import UUID

import pytest

from chat.realtime import allowances, doorbell, limits
from chat.realtime.allowances import Allowances

SHE, HE = UUID(int=1), UUID(int=2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(at=0.0)
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: now.at))
    return now


def let_in(of: Allowances, person: UUID, tries: int) -> int:
    return sum(of.of(person).take() == 0 for _ in range(tries))


def tell(*processes: Allowances, now: int) -> None:
    """What they tell each other once a second, over the channel layer; it repeats itself now and then."""
    told = [
        doorbell.decode(doorbell.encode(doorbell.Spent(f"process {i}", now, process.spent())))
        for i, process in enumerate(processes)
    ]
    for i, process in enumerate(processes):
        for j, message in enumerate([*told, *told]):
            if i != j % len(told):
                process.spent_elsewhere(message, now)


def heard_of(clock: SimpleNamespace, processes: int, seconds: int, everybody: Callable[[float], int]) -> int:
    """Frames that so many processes let in of one person who sends `everybody(second)` to each, ten times a second."""
    running = [Allowances() for _ in range(processes)]
    heard = 0
    for second in range(seconds):
        for part in range(10):
            clock.at = second + part / 10
            heard += sum(let_in(process, SHE, everybody(clock.at)) for process in running)
        tell(*running, now=second * 1_000)
    return heard


@pytest.mark.parametrize("processes", [2, 3, 5, 8])
@pytest.mark.parametrize("how", ["all the time", "in bursts"])
def test_processes_together_let_in_about_what_one_would(clock: SimpleNamespace, processes: int, how: str):
    seconds = 120
    heard = heard_of(clock, processes, seconds, lambda at: 10 if how == "all the time" or at % 6 < 1 else 0)
    # at first nobody has told of anything yet; and each process has its small reserve
    begun = processes * 2 * (limits.BURST + limits.RATE)
    assert heard <= begun + seconds * (limits.RATE + processes * limits.RESERVE_RATE)
    assert heard >= limits.RATE * seconds / 3, "who spreads over processes is slowed down, not shut out"


def test_who_overdoes_it_in_one_place_is_still_heard_in_another(clock: SimpleNamespace):
    busy, quiet = Allowances(), Allowances()
    heard = asked = longest = 0.0
    for second in range(60):
        for part in range(10):
            clock.at = second + part / 10
            let_in(busy, SHE, 5)
        tell(busy, quiet, now=second * 1_000)
        asked += 1
        wait = quiet.of(SHE).take()
        heard += not wait
        longest = max(longest, wait)
    assert heard == asked
    assert longest <= 1 / limits.RESERVE_RATE


def test_what_is_told_late_or_twice_does_not_count(clock: SimpleNamespace):
    process = Allowances()
    process.spent_elsewhere(doorbell.Spent("other", 1_000, {SHE: 10}), 1_000)
    process.spent_elsewhere(doorbell.Spent("other", 1_000, {SHE: 10}), 1_500)
    process.spent_elsewhere(doorbell.Spent("other", 900, {SHE: 10}), 1_500)
    process.spent_elsewhere(doorbell.Spent("hung", 1_000, {SHE: 10}), 9_000)
    process.spent_elsewhere(doorbell.Spent("ahead", 99_000, {SHE: 10}), 9_000)
    assert process.of(SHE).missing == 10


def test_who_comes_again_finds_the_allowance_as_it_was(clock: SimpleNamespace):
    process = Allowances()
    assert let_in(process, SHE, 100) == limits.BURST
    process.forget(here=(), now=0)
    assert let_in(process, SHE, 100) == 0
    clock.at = limits.BURST / limits.RATE
    process.forget(here=(), now=0)
    assert not process._buckets


def test_what_was_spent_elsewhere_is_a_debt_with_an_end(clock: SimpleNamespace):
    process = Allowances()
    process.spent_elsewhere(doorbell.Spent("other", 1, {SHE: 10**9}), 1)
    assert let_in(process, SHE, 100) == limits.RESERVE_BURST
    clock.at = (limits.DEBT_BURSTS + 1) * limits.BURST / limits.RATE
    assert let_in(process, SHE, 1_000) == limits.BURST
    assert let_in(process, HE, 1_000) == limits.BURST, "nobody else pays for it"


def test_one_process_alone_has_no_reserve(clock: SimpleNamespace):
    process = Allowances()
    assert let_in(process, SHE, 1_000) == limits.BURST
    clock.at = 10.0
    assert let_in(process, SHE, 1_000) == limits.BURST


def test_few_frames_and_few_people_are_told_of(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    process = Allowances()
    let_in(process, SHE, 1)
    assert process.spent() == {}
    let_in(process, SHE, 1)
    assert process.spent() == {}, "what was not worth telling is not saved up"
    monkeypatch.setattr(allowances, "TOLD_MOST", 2)
    for number, frames in enumerate((3, 9, 4, 2)):
        let_in(process, UUID(int=number), frames)
    assert process.spent() == {UUID(int=1): 9, UUID(int=2): 4}
