"""The same bytes to many connections in one go: each gets all of them once, whatever the kernel says to the others."""

from __future__ import annotations

import errno
import random

from chat.realtime.frame import Frame
from chat.realtime.outbox import Backlog, Outbox, write_at_once
from chat.realtime.writers.kernel import write_to, write_to_all

WIRE = b"a frame of twenty-six bytes"


class Connection:
    """A writer and its kernel: `does` is what a send comes to, in bytes taken or an exception."""

    def __init__(self, does: int | Exception) -> None:
        self.does = does
        self.got = b""
        self.aborted = False
        self.free = True
        # the server cannot take the rest, and does not say so before
        self.full = False

    def send(self, data: bytes) -> int:
        if isinstance(self.does, Exception):
            raise self.does
        self.got += data[: self.does]
        return min(self.does, len(data))

    def leave(self, rest: bytes) -> None:
        if self.full:
            raise MemoryError
        self.got += rest

    def abort(self) -> None:
        self.aborted = True


def send(to: Connection, data: bytes) -> int:
    return to.send(data)


def outcomes() -> list[int | Exception]:
    return [
        len(WIRE),
        len(WIRE),
        len(WIRE),
        1,
        0,
        OSError(errno.EAGAIN, "no room"),
        OSError(errno.ENOBUFS, "no room"),
        ConnectionResetError(errno.ECONNRESET, "gone"),
        BrokenPipeError(errno.EPIPE, "gone"),
        ValueError("no number of a descriptor"),
    ]


def test_whatever_happens_to_some_all_others_have_the_frame_whole_and_once():
    chance = random.Random(7)
    for _ in range(300):
        all_ = [Connection(chance.choice(outcomes())) for _ in range(chance.randrange(12))]
        for connection in all_:
            connection.free = chance.random() < 0.8
            connection.full = chance.random() < 0.2
        free = [c for c in all_ if c.free]
        refused = write_to_all(all_, free, WIRE, send, free)
        for c in all_:
            broken = isinstance(c.does, Exception) and not isinstance(c.does, OSError)
            gone = isinstance(c.does, ConnectionError)
            # half a frame has left, or none: nothing may follow, and nothing is written again
            torn = c.full and not broken and not gone and c.does != len(WIRE)
            assert (c in refused) is (not c.free or broken)
            if not torn:
                assert c.got == (b"" if not c.free or broken or gone else WIRE)
            assert c.aborted is (c.free and (gone or torn))


def test_one_alone_is_treated_as_one_of_many():
    for does in outcomes()[:-1]:
        alone, one = Connection(does), Connection(does)
        write_to(alone, WIRE, send, alone)
        write_to_all([one], [one], WIRE, send, [one])
        assert (alone.got, alone.aborted) == (one.got, one.aborted)


class Kind:
    """A kind of writers: some refuse, and as a whole it may break."""

    breaks = False

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses
        self.frames: list[Frame] = []

    @classmethod
    def write_all(cls, writers: list[Kind], frame: Frame) -> list[Kind]:
        if cls.breaks:
            raise AttributeError("a name of the server that is not there any more")
        for writer in writers:
            if not writer.refuses:
                writer.frames.append(frame)
        return [w for w in writers if w.refuses]


class Other(Kind):
    pass


class Breaking(Kind):
    breaks = True


def test_who_has_not_got_a_frame_is_told_whatever_kinds_of_connections_there_are():
    chance = random.Random(3)
    frame = Frame(b"hello")
    for _ in range(200):
        outboxes = []
        for _ in range(chance.randrange(9)):
            outbox = Outbox(Backlog(), lambda: None)
            kind = chance.choice([Kind, Kind, Other, Breaking, None])
            outbox.at_once = None if kind is None else kind(chance.random() < 0.3)  # type: ignore[assignment]
            outboxes.append(outbox)
        left = write_at_once(outboxes, frame)
        got = [o for o in outboxes if isinstance(o.at_once, Kind) and o.at_once.frames == [frame]]
        assert len(left) + len(got) == len(outboxes)
        assert set(map(id, left)).isdisjoint(map(id, got))
        assert left == [o for o in outboxes if o in left], "in their order"
