"""One allowance per person: what other processes have let in counts here, and nobody is kept in mind for ever."""

from __future__ import annotations

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


def tell(*processes: Allowances) -> None:
    """What they tell each other once a second, over the channel layer."""
    told = [doorbell.decode(doorbell.encode(doorbell.Spent(process.spent()))) for process in processes]
    for i, process in enumerate(processes):
        for j, message in enumerate(told):
            if i != j:
                process.spent_elsewhere(message.counts)


def test_three_processes_let_in_what_one_would(clock: SimpleNamespace):
    three = [Allowances() for _ in range(3)]
    seconds, heard = 60, 0
    for second in range(seconds):
        for part in range(10):
            clock.at = second + part / 10
            heard += sum(let_in(process, SHE, 10) for process in three)
        tell(*three)
    one = limits.BURST + limits.RATE * seconds
    # the first second is theirs: nobody has told of it yet
    assert heard <= one + 2 * (limits.BURST + limits.RATE)
    assert heard >= limits.RATE * seconds / 2, "who spreads over processes is slowed down, not shut out"
    alone = Allowances()
    clock.at = 0.0
    assert let_in(alone, HE, 1_000) == limits.BURST


def test_who_comes_again_finds_the_allowance_as_it_was(clock: SimpleNamespace):
    process = Allowances()
    assert let_in(process, SHE, 100) == limits.BURST
    process.forget(here=())
    assert let_in(process, SHE, 100) == 0
    clock.at = limits.BURST / limits.RATE
    process.forget(here=())
    assert len(process) == 0


def test_what_was_spent_elsewhere_is_a_debt_of_one_burst_at_most(clock: SimpleNamespace):
    process = Allowances()
    process.spent_elsewhere({SHE: 10**9})
    assert let_in(process, SHE, 10) == 0
    clock.at = 2 * limits.BURST / limits.RATE
    assert let_in(process, SHE, 1_000) == limits.BURST
    assert let_in(process, HE, 1_000) == limits.BURST, "nobody else pays for it"


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
