"""What clients have sent and heard, so that it can be held against the database afterwards."""

from __future__ import annotations

import time
import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from uuid_utils.compat import uuid7

Body = dict[str, Any]

# What an event is about: the first of these that its stored body has. None of them is personal, none ever changes.
SUBJECTS = ("message", "line", "wait", "offer", "order", "person", "product")


def mark(kind: str, body: Body) -> int:
    """A short sign of an event that is the same live, in replay and in the log."""
    subject = next((body[name] for name in SUBJECTS if isinstance(body.get(name), str)), "")
    return zlib.crc32(f"{kind} {subject}".encode())


@dataclass(slots=True)
class Command:
    """One command, from its first sending to its one answer."""

    id: str
    person: str
    stream: str
    name: str
    body: Body
    first_at: float
    times: int = 0
    answered_at: float = 0.0
    answer: Body | None = None
    # the code of a refusal for good
    refused: str = ""
    # the first answer heard was "that was done before": committed, and the answer was lost
    unheard: bool = False

    @property
    def open(self) -> bool:
        return self.answer is None and not self.refused


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that must not be: lost, doubled, gap, order, uncommitted, unanswered, oversold, drift, slow, error."""

    kind: str
    text: str
    at: float = 0.0


@dataclass
class History:
    commands: dict[str, Command] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    # what happened often and is no fault: links lost, snapshots instead of replays, new tickets …
    counts: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)

    def new(self, person: str, stream: str, name: str, body: Body) -> Command:
        made = Command(str(uuid7()), person, stream, name, body, time.monotonic())
        self.commands[made.id] = made
        return made

    def took(self, what: str, seconds: float) -> None:
        self.longest[what] = max(seconds, self.longest.get(what, 0.0))

    def blame(self, kind: str, text: str, at: float = 0.0) -> None:
        self.wrong.append(Wrong(kind, text, at or time.monotonic()))

    def acknowledged(self, command: Command, answer: Body, repeated: bool) -> None:
        if command.refused:
            self.changed_its_mind(command)
            command.answered_at = time.monotonic()
        elif command.answer is None:
            command.unheard = repeated
            command.answered_at = time.monotonic()
        elif command.answer != answer:
            self.blame("doubled", f"{command.name} {command.id} was answered {command.answer}, then {answer}")
        elif not repeated:
            self.blame("doubled", f"{command.name} {command.id} was carried out twice")
        command.answer = answer

    def changed_its_mind(self, command: Command) -> None:
        """Refused, and carried out. Refusals are not kept: another sending of the id is judged anew.

        So it may happen to a command that was sent to one process, and to another one while the first still had it.
        """
        if command.times > 1:
            self.counts["refused by one process, carried out by another"] += 1
        else:
            self.blame("doubled", f"{command.name} {command.id} was refused, then carried out")
        command.refused = ""

    def refuse(self, command: Command, code: str) -> None:
        if code == "server.error":
            self.blame("error", f"{command.name} {command.id}: {code}")
        if command.answer is not None:
            self.blame("lost", f"{command.name} {command.id} was carried out, then refused: {code}")
        else:
            command.refused = code
            command.answered_at = time.monotonic()

    def acks(self) -> list[Command]:
        return [c for c in self.commands.values() if c.answer is not None]

    def acks_between(self, first: float, last: float) -> int:
        return sum(
            1 for c in self.commands.values() if c.answer is not None and first <= c.answered_at < last
        )


class Journal:
    """What one reader was told of one stream, as it came, over as many links as it took."""

    def __init__(self, history: History, who: str, stream: str, keep: bool) -> None:
        self._history = history
        self._who = who
        self.stream = stream
        self._keep = keep
        self.position: int | None = None
        self.epoch = 0
        self.resyncs = 0
        self.seqs = array("q")
        self.marks = array("L")
        # ranges without a hole, begun by each snapshot
        self.covered: list[list[int]] = []

    def joined(self, frame: Body) -> None:
        if frame["mode"] != "resync":
            return
        if self.position is not None:
            self.resyncs += 1
            if frame["epoch"] == self.epoch and frame["seq"] < self.position:
                self._blame("lost", f"the snapshot stands at {frame['seq']}, I was at {self.position}")
        self.position, self.epoch = frame["seq"], frame["epoch"]
        self.covered.append([frame["seq"] + 1, frame["seq"]])

    def events(self, frame: Body) -> None:
        if self.position is None:
            self._blame("order", f"events {frame['first']} to {frame['last']} before a snapshot")
            return
        if frame["epoch"] != self.epoch:
            self._blame("order", f"events of epoch {frame['epoch']} in {self.epoch}")
        if frame["first"] > self.position + 1:
            self._blame("gap", f"at {self.position}, then {frame['first']} to {frame['last']}")
            self.covered.append([frame["first"], frame["last"]])
        elif frame["first"] <= self.position:
            self._blame("doubled", f"at {self.position}, then {frame['first']} to {frame['last']}")
        if self._keep:
            for event in frame["events"]:
                self.seqs.append(event["seq"])
                self.marks.append(mark(event["kind"], event["body"]))
        self.position = max(self.position, frame["last"])
        self.covered[-1][1] = self.position

    def _blame(self, kind: str, text: str) -> None:
        self._history.blame(kind, f"{self._who} in {self.stream[-6:]}: {text}")

    def judge(self, log: dict[int, tuple[int, bool]]) -> None:
        """Hold it against the log: {seq: (mark, whether I may see it)}."""
        before = 0
        heard = set()
        for seq, sign in zip(self.seqs, self.marks, strict=True):
            if seq <= before:
                self._blame("order", f"{seq} after {before}")
            before = seq
            heard.add(seq)
            known = log.get(seq)
            if known is None:
                self._blame("uncommitted", f"heard {seq}, which is not in the log")
            elif known[0] != sign:
                self._blame("uncommitted", f"heard another {seq} than the log has")
            elif not known[1]:
                self._blame("uncommitted", f"heard {seq}, which was not for me")
        for first, last in self.covered:
            missing = [seq for seq in range(first, last + 1) if log[seq][1] and seq not in heard]
            if missing:
                self._blame("gap", f"never heard {missing[:5]} ({len(missing)}) of {first} to {last}")
