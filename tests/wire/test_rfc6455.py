"""The servers under us and RFC 6455, byte by byte: what breaks the rules ends one connection, and nothing else.

Each case is sent to daphne and to uvicorn, both with the real application behind them. What must come back is written
beside it, as the RFC has it; where a server answers otherwise, the case says so and why that is no harm. After each
case somebody else connects and is served, and the process has logged nothing that looks like a fault.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from chat.realtime.limits import FRAME
from tests.processes import LiveProcess, live_processes
from tests.wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Cut,
    RawLink,
    close,
    frame,
    text,
)

SERVERS = ("daphne", "uvicorn")
# as the README tells to start it
OPTIONS: dict[str, tuple[str, ...]] = {
    "daphne": ("--websocket-max-message-size", str(FRAME)),
    "uvicorn": ("--ws-max-size", str(FRAME), "--ws-per-message-deflate", "false"),
}
# asked after what a case has sent; answers come in order, so whatever was said to it has come by then
PROBE = 4_711

_DROPS = "it drops the connection without a close frame, which 7.1.7 asks for but does not demand"
_ECHOES_1000 = "it answers every close with 1000; 5.5.1 calls for the same code only as what is usual"


@dataclass(frozen=True)
class Case:
    """What is sent after the handshake, and what comes back: see `outcome`."""

    name: str
    sent: bytes
    expected: str
    # the server's name: (what it does instead, why)
    differs: dict[str, tuple[str, str]] = field(default_factory=dict)
    # half of the connection is ended after what was sent, instead of asking whether the server is still there
    then_end: bool = False

    def wanted(self, server: str) -> str:
        return self.differs[server][0] if server in self.differs else self.expected


def breaks(name: str, sent: bytes, code: int = 1002, **uvicorn: tuple[str, str]) -> Case:
    """A case that ends the connection with a code, which daphne does not send."""
    return Case(name, sent, f"close {code}, cut", {"daphne": ("cut", _DROPS)} | uvicorn)


def leaves(code: int | None, reason: bytes = b"") -> Case:
    """A goodbye that keeps to the rules, and is answered."""
    name = "a close without a code" if code is None else f"close {code}"
    expected = "close, cut" if code is None else f"close {code}, cut"
    other = {} if code == 1000 else {"daphne": ("close 1000, cut", _ECHOES_1000)}
    return Case(name, close(code, reason), expected, other)


JSON_PING = '{"type":"ping","at":1}'
HALF = len(JSON_PING) // 2
IN_PARTS = (JSON_PING[:HALF].encode(), JSON_PING[HALF:].encode())
KAPPA = '{"type":"κόσμε"}'.encode()
# inside the first Greek letter
CUT_AT = KAPPA.index("κ".encode()) + 1

CASES = [
    # 5.2, 5.6 data
    Case("text", text(JSON_PING), "pong frame, alive"),
    Case("empty text", text(""), "error frame.invalid, alive"),
    Case("binary", frame(BINARY, b"\x00\xff"), "error frame.binary, alive"),
    Case("empty binary", frame(BINARY), "error frame.binary, alive"),
    # 5.1, 5.3 masking
    breaks("text, not masked", text(JSON_PING, mask=None)),
    breaks("ping, not masked", frame(PING, mask=None)),
    breaks("close, not masked", frame(CLOSE, mask=None)),
    Case("text, masked with zeros", text(JSON_PING, mask=bytes(4)), "pong frame, alive"),
    # 5.2 lengths
    Case("text of 125 bytes", text("x" * 125), "error frame.invalid, alive"),
    Case("text of 126 bytes", text("x" * 126), "error frame.invalid, alive"),
    Case("text of 65,535 bytes", text("x" * 65_535), "error frame.invalid, alive"),
    breaks("a longer form of the length than needed", text(JSON_PING, wide=True),
           uvicorn=("pong frame, alive", "it reads it all the same; 5.2 binds who sends, and nothing is gained by it")),
    breaks("the highest bit of a length", frame(TEXT, b"x", claimed=1 << 63),
           uvicorn=("close 1009, cut", "it takes it for a length, and that is too long")),
    # 5.4 parts
    Case("text in two parts", frame(TEXT, IN_PARTS[0], fin=False) + frame(CONTINUATION, IN_PARTS[1]),
         "pong frame, alive"),
    Case("text in as many parts as bytes", b"".join(
        frame(CONTINUATION if i else TEXT, JSON_PING[i : i + 1].encode(), fin=i == len(JSON_PING) - 1)
        for i in range(len(JSON_PING))), "pong frame, alive"),
    Case("a ping between parts",
         frame(TEXT, IN_PARTS[0], fin=False) + frame(PING, b"between") + frame(CONTINUATION, IN_PARTS[1]),
         "pong 'between', pong frame, alive"),
    Case("a pong between parts",
         frame(TEXT, IN_PARTS[0], fin=False) + frame(PONG, b"?") + frame(CONTINUATION, IN_PARTS[1]),
         "pong frame, alive"),
    Case("a close between parts",
         frame(TEXT, IN_PARTS[0], fin=False) + close(1000) + frame(CONTINUATION, IN_PARTS[1]),
         "close 1000, cut",
         {"uvicorn": ("close 1002, cut", "it misses the end of the message: a goodbye all the same")}),
    Case("empty parts", frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION),
         "error frame.invalid, alive"),
    Case("binary in two parts", frame(BINARY, b"\xff", fin=False) + frame(CONTINUATION, b"\xfe"),
         "error frame.binary, alive"),
    breaks("a continuation of nothing", frame(CONTINUATION, b"x")),
    breaks("an unfinished continuation of nothing", frame(CONTINUATION, b"x", fin=False)),
    breaks("a new text within a text", frame(TEXT, b"a", fin=False) + text("b")),
    breaks("binary within a text", frame(TEXT, b"a", fin=False) + frame(BINARY, b"b")),
    # 5.5 control frames
    Case("a ping", frame(PING, b"hello"), "pong 'hello', alive"),
    Case("an empty ping", frame(PING), "pong '', alive"),
    Case("a ping of 125 bytes", frame(PING, b"p" * 125), f"pong '{'p' * 125}', alive"),
    Case("three pings", frame(PING, b"1") + frame(PING, b"2") + frame(PING, b"3"),
         "pong '1', pong '2', pong '3', alive"),
    Case("a pong that nobody asked for", frame(PONG, b"?"), "alive"),
    breaks("a ping of 126 bytes", frame(PING, b"p" * 126)),
    breaks("a ping in parts", frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b")),
    breaks("a pong in parts", frame(PONG, b"a", fin=False)),
    breaks("a close in parts", frame(CLOSE, struct.pack("!H", 1000), fin=False)),
    breaks("a close of 126 bytes", close(1000, b"r" * 124)),
    # 5.2 reserved bits, 5.8 reserved opcodes
    *(breaks(f"reserved bit {bit}, text", text(JSON_PING, reserved=1 << (3 - bit))) for bit in (1, 2, 3)),
    breaks("reserved bit 1, ping: no compression was agreed on", frame(PING, reserved=4)),
    *(breaks(f"reserved opcode {code:#x}", frame(code, b"x")) for code in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)),
    # 5.5.1, 7.4 close
    leaves(None),
    *(leaves(code, b"why")
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4400, 4999)),
    *(breaks(f"close {code}, which is not for the wire", close(code))
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)),
    breaks("a close with half a code", frame(CLOSE, b"\x03")),
    breaks("a close whose reason is no UTF-8", close(1000, b"\xce\xba\xff"), 1007),
    Case("a close with a reason of 123 bytes", close(1000, b"r" * 123), "close 1000, cut"),
    Case("text after a close", close(1000) + text(JSON_PING), "close 1000, cut"),
    Case("a ping after a close", close(1000) + frame(PING, b"x"), "close 1000, cut"),
    Case("two closes", close(1000) + close(1001), "close 1000, cut"),
    Case("garbage after a close", close(1000) + b"\xff" * 40, "close 1000, cut"),
    # 8.1 UTF-8
    Case("text beyond ASCII", frame(TEXT, KAPPA), "error frame.invalid, alive"),
    Case("a letter cut by the end of a part",
         frame(TEXT, KAPPA[:CUT_AT], fin=False) + frame(CONTINUATION, KAPPA[CUT_AT:]), "error frame.invalid, alive"),
    Case("a letter cut by the end of a part, and a ping there",
         frame(TEXT, KAPPA[:CUT_AT], fin=False) + frame(PING, b"x") + frame(CONTINUATION, KAPPA[CUT_AT:]),
         "pong 'x', error frame.invalid, alive"),
    breaks("a byte that is never UTF-8", frame(TEXT, b'{"type":"\xff"}'), 1007),
    breaks("half a letter", frame(TEXT, KAPPA[:CUT_AT]), 1007),
    breaks("half a letter, then another", frame(TEXT, KAPPA[:CUT_AT], fin=False) + frame(CONTINUATION, b'"}'), 1007),
    breaks("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
    breaks("an overlong slash", frame(TEXT, b"\xc0\xaf"), 1007),
    breaks("beyond U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    Case("a byte that is never UTF-8, in binary", frame(BINARY, b"\xff"), "error frame.binary, alive"),
    # 10.4 limits
    breaks("a frame one byte too long", text("x" * (FRAME + 1)), 1009),
    breaks("a message in parts, one byte too long",
           frame(TEXT, b"x" * FRAME, fin=False) + frame(CONTINUATION, b"x"), 1009),
    breaks("a message whose parts never end", frame(TEXT, b"x" * 40_000, fin=False)
           + frame(CONTINUATION, b"x" * 40_000, fin=False), 1009),
    breaks("a frame that claims 2^62 bytes", frame(TEXT, b"x", claimed=1 << 62), 1009),
    Case("a frame that claims more than comes", frame(TEXT, b'{"type"', claimed=100), "cut", then_end=True),
    breaks("a frame that claims less than comes", frame(TEXT, JSON_PING.encode(), claimed=HALF, mask=bytes(4))),
    Case("half a header", b"\x81", "cut", then_end=True),
    Case("a message without its end", frame(TEXT, b"x", fin=False), "cut", then_end=True),
    Case("no word", b"", "cut", then_end=True),
]  # fmt: skip


def outcome(link: RawLink) -> str:
    """What the server says until it answers the probe (`alive`), or until the connection ends (`cut`)."""
    said = []
    try:
        while True:
            heard = link.hear()
            if heard.opcode == PONG:
                said.append(f"pong {heard.payload.decode()!r}")
            elif heard.opcode == CLOSE:
                said.append("close" if heard.code is None else f"close {heard.code}")
                # whoever has closed is waiting for this
                link.send(close(heard.code))
            elif heard.opcode == TEXT:
                told = heard.json
                if told["type"] == "beat":
                    continue
                if told["type"] == "pong" and told["at"] == PROBE:
                    return ", ".join([*said, "alive"])
                said.append(f"error {told['code']}" if told["type"] == "error" else f"{told['type']} frame")
    except Cut:
        said.append("cut")
    return ", ".join(said)


class Judged:
    """A server and its log: each case must leave both as they were."""

    def __init__(self, process: LiveProcess) -> None:
        self.process = process
        self._read = len(process.log)

    @property
    def port(self) -> int:
        return self.process.port

    def is_as_before(self) -> None:
        with RawLink(self.port) as other:
            other.open()
            assert other.told()["type"] == "hello"
            other.send(text(JSON_PING))
            assert other.told()["type"] == "pong"
            other.send(close(1000))
            assert outcome(other) == "close 1000, cut"
        written = self.process.log[self._read :]
        self._read += len(written)
        assert not re.search(r"Traceback|ERROR|CRITICAL", written), written


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Judged]]:
    with ExitStack() as stack:
        found = {}
        for server in SERVERS:
            (process,) = stack.enter_context(live_processes(1, server=server, server_args=OPTIONS[server]))  # type: ignore[arg-type]
            found[server] = Judged(process)
        yield found


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, ...]]]:
    """Lines (case, expected, daphne, uvicorn, why), told when all have been tried."""
    lines: list[tuple[str, ...]] = []
    yield lines
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        for line in [("case", "RFC 6455", *SERVERS, "why it differs"), *lines]:
            print("| {:55.55} | {:32.32} | {:32.32} | {:32.32} | {}".format(*line))


def judge(case: Case, found: dict[str, str], table: list[tuple[str, ...]]) -> None:
    """What was found is what the RFC has, or what the case says of this server."""
    why = "; ".join(f"{server}: {reason}" for server, (_, reason) in case.differs.items())
    table.append((case.name, case.expected, *(found[server] for server in SERVERS), why))
    assert found == {server: case.wanted(server) for server in SERVERS}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_frames(case: Case, servers: dict[str, Judged], table: list[tuple[str, ...]]) -> None:
    found = {}
    for name, server in servers.items():
        with RawLink(server.port) as link:
            link.open()
            assert link.told()["type"] == "hello"
            link.send(case.sent)
            if case.then_end:
                link.end_of_ours()
            else:
                link.send(text({"type": "ping", "at": PROBE}))
            found[name] = outcome(link)
        server.is_as_before()
    judge(case, found, table)


# --- the handshake ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Greeting:
    """A handshake: what is changed in a good one."""

    changed: dict[str, str]
    leave_out: str = ""
    path: str = "/ws/"
    line: str = ""
    then: bytes = b""


def greets(name: str, expected: str, differs: dict[str, tuple[str, str]] | None = None, **how: Any) -> Any:
    known = {key: how.pop(key) for key in ("leave_out", "path", "line", "then") if key in how}
    return Case(name, b"", expected, differs or {}), Greeting(how, **known)


_REFUSED = "it refuses too; which 4xx is said is left open by 4.2.1"
_LENIENT = "it is lenient: no browser sends this, and whoever does gains nothing"
_SILENT = "it says nothing and waits for the client to go; a proxy in front bounds heads of requests"

HANDSHAKES = [
    greets("as it should be", "101, hello frame, alive"),
    greets("frames in the same packet, which no client may send", "101, hello frame, alive", then=text(JSON_PING)),
    greets("lower case, and a list in Connection", "101, hello frame, alive",
           Connection="keep-alive, upgrade", Upgrade="WebSocket"),
    greets("protocols that are not spoken here", "101, hello frame, alive", Sec_WebSocket_Protocol="soap, wamp"),
    greets("compression", "101, hello frame, alive",
           Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
    greets("extensions that nobody knows", "101, hello frame, alive", Sec_WebSocket_Extensions="x-y; a=1, , z"),
    greets("another version", "426 13", {
        "daphne": ("101, hello frame, alive", "it speaks version 8 as well, the last draft, with the same frames"),
        "uvicorn": ("400", "it does not say which version it wants; no browser has another"),
    }, Sec_WebSocket_Version="8"),
    greets("no version", "400", leave_out="Sec-WebSocket-Version"),
    greets("a version that is no number", "400", Sec_WebSocket_Version="thirteen"),
    greets("no key", "400", leave_out="Sec-WebSocket-Key"),
    greets("a key that is too short", "400", Sec_WebSocket_Key="c2hvcnQ="),
    greets("a key that is not Base64", "400", Sec_WebSocket_Key="!" * 24),
    greets("no host", "400", leave_out="Host"),
    greets("no upgrade: a request like any other", "404", leave_out="Upgrade"),
    greets("upgrade to something else", "404", Upgrade="h2c"),
    greets("no connection header", "400", {"uvicorn": ("404", _REFUSED)}, leave_out="Connection"),
    greets("POST", "405", line="POST /ws/ HTTP/1.1"),
    greets("HTTP/1.0", "400", dict.fromkeys(SERVERS, ("101, hello frame, alive", _LENIENT)),
           line="GET /ws/ HTTP/1.0"),
    greets("another path", "403", path="/ws/elsewhere"),
    greets("the path of a page", "403", path="/"),
    greets("a path that is not UTF-8", "403", path="/%ff%fe/"),
    greets("a page of elsewhere", "101, bye frame, close 4403, cut", Origin="https://evil.example"),
    greets("a page of nowhere", "101, bye frame, close 4403, cut", Origin="null"),
    greets("a cookie that is no cookie", "101, hello frame, alive", Cookie="sessionid=\xff; ;;=="),
    greets("a control character in a header", "400", {
        "daphne": ("101, hello frame, alive", _LENIENT), "uvicorn": ("silence", _SILENT),
    }, X_Odd="\x01"),
    greets("a language that nobody speaks", "101, hello frame, alive", Accept_Language="x" * 2_000),
    greets("a protocol beyond ASCII", "400", {
        "daphne": ("500", "it fails at reading the header; the connection is refused all the same"),
    }, Sec_WebSocket_Protocol="\xe9"),
    greets("a header of 100,000 bytes", "cut", {"uvicorn": ("silence", _SILENT)}, X_Long="x" * 100_000),
    greets("no HTTP at all", "400", line="\x16\x03\x01\x02"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "greeting"), HANDSHAKES, ids=lambda v: getattr(v, "name", ""))
def test_handshakes(
    case: Case, greeting: Greeting, servers: dict[str, Judged], table: list[tuple[str, ...]]
) -> None:
    found = {}
    for name, server in servers.items():
        # only where silence is what is expected, it is waited for
        patience = 1.0 if case.wanted(name) == "silence" else PATIENCE
        with RawLink(server.port, patience) as link:
            request = link.request(
                greeting.path, leave_out=greeting.leave_out, line=greeting.line, **greeting.changed
            )
            link.send(request + greeting.then)
            try:
                answer = link.answer()
            except Cut:
                found[name] = "cut"
            except TimeoutError:
                found[name] = "silence"
            else:
                found[name] = " ".join(
                    [str(answer.status), answer.headers.get("sec-websocket-version", "")]
                ).strip()
                assert "sec-websocket-protocol" not in answer.headers
                assert "sec-websocket-extensions" not in answer.headers
                if answer.status == 101:
                    link.send(text({"type": "ping", "at": PROBE}))
                    found[name] += ", " + outcome(link)
        server.is_as_before()
    judge(case, found, table)


# --- limits of time -----------------------------------------------------------------------------------------------


def test_heads_that_never_end_keep_nobody_out(servers: dict[str, Judged]) -> None:
    """Two hundred connections that dribble their request: the others are served, and theirs are still theirs."""
    for server in servers.values():
        with ExitStack() as stack:
            slow = [stack.enter_context(RawLink(server.port)) for _ in range(200)]
            request = slow[0].request()
            for link in slow:
                link.send(request[:40])
            server.is_as_before()
            slow[0].send(request[40:])
            assert slow[0].answer().status == 101


def test_a_client_that_sends_byte_by_byte_is_understood(servers: dict[str, Judged]) -> None:
    for server in servers.values():
        with RawLink(server.port) as link:
            for byte in link.request():
                link.send(bytes([byte]))
            assert link.answer().status == 101
            for byte in text({"type": "ping", "at": PROBE}):
                link.send(bytes([byte]))
            assert outcome(link) == "hello frame, alive"


def test_every_difference_has_a_reason() -> None:
    cases = [*CASES, *(case for case, _ in HANDSHAKES)]
    assert len({case.name for case in cases}) == len(cases) >= 125
    for case in cases:
        for server, (found, reason) in case.differs.items():
            assert server in SERVERS
            assert found != case.expected
            assert len(reason) > 20
