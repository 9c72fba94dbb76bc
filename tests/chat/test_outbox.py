"""What waits for one socket: latest values merged, the log whole, a reader that is too slow, a write that fails."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
from socket import socketpair
from types import SimpleNamespace
from uuid import uuid4

import pytest

from chat.realtime import outbox as outbox_module
from chat.realtime.closing import CloseCode
from chat.realtime.frame import Frame
from chat.realtime.outbox import Backlog, Outbox
from chat.realtime.writers.uvicorn import UvicornWriter
from tests.chat.fakes import outbox_to, until


def slow() -> tuple[Outbox, asyncio.Event, list[dict]]:
    """An outbox whose client takes nothing until the gate is open, and what it has taken then."""
    gate, sent = asyncio.Event(), []

    async def take(message: dict) -> None:
        await gate.wait()
        sent.append(message)

    return outbox_to(take), gate, sent


async def test_latest_values_of_a_slow_reader_are_merged_and_stay_few():
    outbox, gate, sent = slow()
    outbox.put(Frame(b"first"))
    await asyncio.sleep(0)
    stream = uuid4()
    names = ["a", "b", "c", "d"]
    shared = Frame(b"shared")
    for version, some in enumerate(
        itertools.chain(*(itertools.combinations(names, n) for n in (1, 2, 3, 4))), 1
    ):
        outbox.put_values(stream, shared, dict.fromkeys(some, (version, version)))
    gate.set()
    await until(lambda: len(sent) == 2)
    values = json.loads(sent[1]["text"])["values"]
    assert values == {"a": [15, 15], "b": [15, 15], "c": [15, 15], "d": [15, 15]}
    outbox.put_values(stream, shared, {"a": (16, 16)})
    await until(lambda: len(sent) == 3)
    # nothing waited: the frame that everybody gets is the one that leaves
    assert sent[2]["text"] == "shared"
    outbox.end()


async def test_the_log_lane_is_full_or_whole_never_thinned():
    outbox, gate, sent = slow()
    for n in range(40):
        outbox.put(Frame(b"%d" % n + b"x" * 7_000))
    assert outbox.closing == CloseCode.SLOW
    outbox.put(Frame(b"late"))
    assert outbox.waiting == 0
    gate.set()
    await until(lambda: sent and sent[-1]["type"] == "websocket.close")
    # the one that was being sent, and nothing after a gap
    assert [m["type"] for m in sent] == ["websocket.send", "websocket.close"]
    assert sent[1]["code"] == 4000
    outbox.end()


class Full:
    """A writer whose server holds so many bytes that it takes nothing more."""

    def __init__(self) -> None:
        self.left = 100_000

    def write(self, frame: Frame) -> bool:
        return False

    def buffered(self) -> int:
        return self.left

    async def close(self, code: int, reason: str) -> None:
        pass

    def abort(self) -> None:
        pass

    def end(self) -> None:
        pass


async def test_who_reads_slowly_but_steadily_is_not_given_up(monkeypatch: pytest.MonkeyPatch):
    now = 1_000.0
    monkeypatch.setattr(outbox_module, "time", SimpleNamespace(monotonic=lambda: now))
    outbox, writer = Outbox(Backlog(), lambda: None), Full()
    outbox.open(writer)
    outbox.put(Frame(b"waits"))
    for _ in range(20):
        now += 4.0
        writer.left -= 1_000
        outbox.drain()
        assert outbox.closing is None
    now += 4.0
    outbox.drain()
    assert outbox.closing is None
    now += 4.0
    outbox.drain()
    assert outbox.closing == CloseCode.SLOW
    outbox.end()


async def test_one_frame_may_be_large_and_the_next_is_waited_with():
    outbox, writer = Outbox(Backlog(), lambda: None), Full()
    outbox.open(writer)
    await outbox.room()
    outbox.put(Frame(b"x" * 400_000))
    assert outbox.closing is None
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    outbox.put(Frame(b"y"))
    assert outbox.closing == CloseCode.SLOW
    await waiting
    outbox.end()


@pytest.mark.parametrize("kind", ["no room", "gone"])
async def test_a_write_that_fails_loses_no_frame_in_the_middle(kind: str):
    code = errno.ENOBUFS if kind == "no room" else errno.ECONNRESET
    taken: list[bytes] = []
    aborted: list[bool] = []

    def send(data: bytes) -> int:
        if len(taken) == 1:
            raise OSError(code, kind)
        taken.append(data)
        return len(data)

    transport = SimpleNamespace(
        is_closing=lambda: bool(aborted),
        get_write_buffer_size=lambda: sum(map(len, taken[1:])),
        write=taken.append,
        abort=lambda: aborted.append(True),
    )
    outbox = Outbox(Backlog(), lambda: None)
    ours, theirs = socketpair()
    writer = UvicornWriter(SimpleNamespace(transport=transport, close_sent=False), ours.fileno())  # type: ignore[arg-type]
    writer._send = send  # type: ignore[method-assign, assignment]
    outbox.open(writer)
    for n in range(3):
        outbox.put(Frame(b"%d" % n))
    if kind == "no room":
        assert taken == [Frame(b"0").wire, Frame(b"1").wire]
        assert outbox.waiting == len(Frame(b"2"))
    else:
        assert aborted == [True]
        assert taken == [Frame(b"0").wire]
    outbox.end()
    # the descriptor is the transport's: whoever ends leaves it open
    assert theirs.send(b"x") == 1
    assert ours.recv(1) == b"x"
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("flush", "texts"), [(True, ["a", "b", "bye"]), (False, ["a", "bye"])])
async def test_a_close_lets_what_waits_leave_first_where_that_is_asked(flush: bool, texts: list[str]):
    sent: list[dict] = []

    async def take(message: dict) -> None:
        sent.append(message)

    outbox = outbox_to(take)
    outbox.put(Frame(b"a"))
    outbox.put(Frame(b"b"))
    outbox.close(CloseCode.GOING_AWAY, Frame(b"bye"), flush=flush)
    await until(lambda: sent and sent[-1]["type"] == "websocket.close")
    assert [m.get("text", m.get("code")) for m in sent] == [*texts, 4001]
    outbox.end()
