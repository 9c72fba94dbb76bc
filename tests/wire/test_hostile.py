"""Whatever is sent, by guests, strangers, members and owners: it is answered, or the socket is closed by the book.

Real servers, real sockets. After each hostile frame comes a ping, which must be answered. Answers are whole and known
frames that tell nothing of the server's inside and nothing of another shop. `HOSTILE_SEED` repeats a run.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args
from uuid import uuid4

import msgspec
import pytest
from uuid_utils.compat import uuid7

from chat.log import registry
from chat.log.errors import DESCRIPTIONS
from chat.realtime import limits, protocol
from chat.realtime.closing import CloseCode
from chat.realtime.consumer import _salvage_id
from tests.processes import ROOT, LiveProcess, live_processes
from tests.proofs.stage import Stage
from tests.wire.hostile import Maker
from tests.wire.raw import BINARY, CLOSE, TEXT, Cut, RawLink, close, frame, text
from tests.wire.test_rfc6455 import OPTIONS, SERVERS

registry.load()

SEED = int(os.environ.get("HOSTILE_SEED", "20261123"))
# Hostile frames of one socket: below what ends it.
PER_SOCKET = limits.ERRORS - 2
# The part behind the point of the number that our own pings carry.
PROBE = 0.0625
# What the other shop has, and nobody here may read.
CANARIES = {
    "room": "canary-room-kestrel",
    "message": "canary-message-heron",
    "address": "canary-address-egret",
    "reason": "canary-reason-plover",
}
# What only the inside of a server looks like.
INSIDE = re.compile(
    r"Traceback|File \\?\"|\.py\b|site-packages|" + re.escape(str(ROOT)) + r"|0x[0-9a-f]{8}|object at|"
    r"SELECT |INSERT |UPDATE |DELETE FROM|sqlite|psycopg|django|msgspec|commerce_|chat_|livesale_|NoneType|Error\b"
)
KNOWN = {msgspec.inspect.type_info(kind).tag: kind for kind in get_args(protocol.ServerFrame)}  # type: ignore[attr-defined]
# Bytes that the resident memory of a process may grow by during all of this.
GROWTH = 48 * 1024 * 1024


def judge(payload: bytes) -> dict[str, Any]:
    """A frame of the server is JSON, of a documented type with documented fields, and says nothing it must not."""
    said = payload.decode()
    told: dict[str, Any] = msgspec.json.decode(payload)
    assert told["type"] in KNOWN, said[:300]
    kind = KNOWN[told["type"]]
    msgspec.json.decode(payload, type=kind)
    assert set(told) - {"type"} <= {f.encode_name for f in msgspec.structs.fields(kind)}, said[:300]
    if told["type"] == "error":
        assert told["code"] in DESCRIPTIONS, said[:300]
        assert len(said) < 2_000, said[:300]
    found = [name for name, canary in CANARIES.items() if canary in said]
    assert not found, f"tells {found}: {said[:300]}"
    # what people and the corpus have written themselves may look like anything
    if told["type"] in {"error", "left", "bye", "told"}:
        inside = INSIDE.search(said)
        assert not inside, f"tells of the inside: {said[:600]}"
    return told


@dataclass
class Scene:
    """A server with two shops: one of the attackers, one of those they have no business with."""

    process: LiveProcess
    stage: Stage
    ours: dict[str, Any] = field(init=False)
    theirs: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.theirs = self.stage.open_market(name="Theirs", people=2, stock=50)
        theirs, buyer = self.theirs, self.theirs["people"][0]
        room = theirs["rooms"][0]
        self.stage.act(stream=room, name="member.join", actor=buyer)
        claim = self.stage.act(
            stream=room, name="claim.place", actor=buyer, body={"offer": theirs["offers"][0]}
        )
        said = self.stage.act(
            stream=room, name="message.send", actor=buyer, body={"text": CANARIES["message"]}
        )
        option = self.stage.delivery_option(shop=theirs["shop"])
        address = {"order": claim["order"], "option": option, "contact": {"name": CANARIES["address"]}}
        self.stage.act(stream=room, name="order.deliver", actor=buyer, body=address)
        self.stage.act(
            stream=room,
            name="member.timeout",
            actor=theirs["owner"],
            body={"person": buyer, "seconds": 60, "reason": CANARIES["reason"]},
        )
        self.stage.act(
            stream=room,
            name="room.configure",
            actor=theirs["owner"],
            body={"open": False, "name": CANARIES["room"]},
        )
        self.things = [
            claim["order"],
            claim["line"],
            said["message"],
            *theirs["offers"],
            theirs["variant"],
            buyer,
        ]
        self._open_ours()

    def _open_ours(self) -> None:
        self.ours = self.stage.open_market(name="Ours", people=3, stock=50)
        room, shop, owner = self.ours["rooms"][0], self.ours["shop"], self.ours["owner"]
        self.stranger, self.member, _ = self.ours["people"]
        self.stage.act(stream=room, name="member.join", actor=self.member)
        said = self.stage.act(stream=room, name="message.send", actor=self.member, body={"text": "hello"})
        offer = self.ours["offers"][0]
        claim = self.stage.act(stream=room, name="claim.place", actor=self.member, body={"offer": offer})
        goods = {"code": "77", "title": "Hat", "variants": [{"price_minor": 100, "stock": 1_000}]}
        made = self.stage.act(stream=shop, name="product.create", actor=owner, body=goods)
        self.named = {
            "offer": offer, "variant": made["variants"][0], "product": made["product"], "message": said["message"],
            "reply_to": said["message"], "line": claim["line"], "order": claim["order"], "person": self.stranger,
            "buyer": self.stranger, "option": self.stage.delivery_option(shop=shop), "stream": room,
        }  # fmt: skip

    def people(self) -> list[str]:
        """A guest, a stranger, a member and, more often, the owner: whose commands get furthest."""
        owner = self.ours["owner"]
        return ["", self.stranger, owner, self.member, owner]

    def maker(self) -> Maker:
        streams = {
            "room": self.ours["rooms"],
            "shop": [self.ours["shop"]],
            "foreign": [self.theirs["rooms"][0], self.theirs["shop"], str(uuid4())],
        }
        return Maker(SEED, streams, self.named, self.things)

    @property
    def memory(self) -> int:
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", params=SERVERS)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    options = OPTIONS[request.param]
    # few people send what thousands would: their rate is lifted, which is not asked about here
    with (
        live_processes(
            1,
            server=request.param,
            server_args=options,
            application="tests.faults.hasty_app:application",
            env={"LIVESALE_TEST_NUMBERS": "chat.realtime.limits.RATE=1e9"},
        ) as (process,),
        Stage(process.env) as stage,
    ):
        yield Scene(process, stage)


class Attacker:
    """Somebody who sends, socket after socket; what was answered is counted."""

    def __init__(self, scene: Scene, person: str) -> None:
        self.scene = scene
        self.person = person
        self._token = ""
        # commands at which the server failed: with what
        self.failed: list[str] = []
        self.answered: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()

    def enter(self) -> RawLink:
        link = RawLink(self.scene.process.port)
        try:
            self._sign_in(link.open())
        except BaseException:
            link.__exit__()
            raise
        return link

    def _sign_in(self, link: RawLink) -> None:
        judge(link.hear().payload)
        if self.person:
            if self._token:
                link.send(text({"type": "auth", "resume": self._token}))
            else:
                link.send(text({"type": "auth", "ticket": self.scene.stage.tickets(people=[self.person])[0]}))
            hello = link.told()
            assert hello["type"] == "hello", hello
            assert hello["you"]["id"] == self.person
            self._token = hello["resume"]

    def send(self, hostile: list[str | bytes]) -> None:
        """Each of them and a ping, all at once; then hear until every ping and every command is answered."""
        waiting: Counter[str] = Counter()
        sent: dict[str, tuple[str, str | bytes]] = {}
        with self.enter() as link:
            out = []
            for n, said in enumerate(hostile):
                out.append(frame(BINARY, said) if isinstance(said, bytes) else text(said))
                out.append(text({"type": "ping", "at": n + PROBE}))
                command = understood(said)
                if command is not None:
                    waiting[str(command.id)] += 1
                    sent[str(command.id)] = command.name, said
                elif spoiled := spoiled_id(said):
                    # refused by that name, too, and perhaps before a command of the same id has its answer
                    waiting[spoiled] += 1
            link.send(b"".join(out))
            pings = 0
            while pings < len(hostile) or waiting:
                try:
                    heard = link.hear()
                except Cut:
                    raise AssertionError(f"cut off after ping {pings}: {hostile[pings]!r:.300}") from None
                if heard.opcode == CLOSE:
                    # by the book, and only for a reason that this could have given
                    assert heard.code in set(CloseCode), heard
                    raise AssertionError(
                        f"closed with {heard.code} after ping {pings}: {hostile[pings]!r:.300}"
                    )
                assert heard.opcode == TEXT
                told = judge(heard.payload)
                kind = told["type"]
                self.answered[told["code"] if kind == "error" else kind] += 1
                if kind == "pong" and (told.get("at") or 0) % 1 == PROBE:
                    # in order: nothing was lost, nothing took the place of a ping
                    assert told["at"] == pings + PROBE
                    pings += 1
                if kind in {"ack", "error"} and told.get("id"):
                    waiting -= Counter([told["id"]])
                    if kind == "ack" and not told.get("repeated"):
                        self.accepted[sent[told["id"]][0]] += 1
                if kind == "error" and told["code"] == "server.error":
                    self.failed.append(f"{sent.get(told.get('id') or '', hostile)!r:.600}")
            link.send(close(1000))


def understood(said: str | bytes) -> protocol.Do | None:
    """The command that a frame is after all: that has an answer of its own."""
    if isinstance(said, bytes):
        return None
    try:
        read = protocol.decode(said)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return read if isinstance(read, protocol.Do) else None


def spoiled_id(said: str | bytes) -> str | None:
    """The id by which a frame is refused that is no frame."""
    if isinstance(said, bytes):
        return None
    try:
        protocol.decode(said)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        found = _salvage_id(said)
        return str(found) if found is not None else None
    return None


def attack(scene: Scene, frames: Iterator[str | bytes]) -> tuple[int, Counter[str], Counter[str]]:
    """All of it, by everybody in turn; (frames sent, answers by kind or code, accepted commands by name)."""
    attackers = [Attacker(scene, person) for person in scene.people()]
    turns = itertools.cycle(attackers)
    sent = 0
    while hostile := list(itertools.islice(frames, PER_SOCKET)):
        next(turns).send(hostile)
        sent += len(hostile)
    answered: Counter[str] = sum((a.answered for a in attackers), Counter())
    accepted: Counter[str] = sum((a.accepted for a in attackers), Counter())
    failed = [command for attacker in attackers for command in attacker.failed]
    assert not failed, "\n".join([f"the server failed at {len(failed)}:", *failed[:20]])
    return sent, answered, accepted


def survives(scene: Scene, frames: Iterator[str | bytes], what: str) -> int:
    people = [person for person in scene.people() if person]
    done = scene.stage.receipts_of(people=people)
    before, memory, log = scene.stage.counts(), scene.memory, len(scene.process.log)
    room, shop = scene.theirs["rooms"][0], scene.theirs["shop"]
    their_room, their_shop = scene.stage.head(stream=room), scene.stage.head(stream=shop)
    sent, answered, accepted = attack(scene, frames)
    after = scene.stage.counts()
    # what was not acknowledged has left nothing: no receipt, no message, no line
    assert scene.stage.receipts_of(people=people) - done == sum(accepted.values())
    assert after["messages"] - before["messages"] <= accepted["message.send"] + accepted["say"]
    assert after["told_messages"] - before["told_messages"] == after["messages"] - before["messages"]
    # and nothing at all in the other shop, but that its storefront sells to everybody, and anybody may open a group
    assert scene.stage.head(stream=room) == their_room
    assert scene.stage.head(stream=shop) == their_shop or accepted["buy"] or accepted["room.create"]
    written = scene.process.log[log:]
    assert not re.search(r"Traceback|ERROR|CRITICAL", written), written[:3_000]
    assert not [canary for canary in CANARIES.values() if canary in written]
    assert len(written) < 200 * sent
    assert scene.memory - memory < GROWTH
    assert scene.stage.drifts() == []
    print(
        f"\n{scene.process.server}, {what}, seed {SEED}: {sent} frames, {sum(accepted.values())} commands accepted, "
        f"memory {(scene.memory - memory) / 2**20:+.1f} MiB, {len(written)} bytes of log\n"
        f"answers: {dict(answered.most_common())}\naccepted: {dict(accepted.most_common())}"
    )
    return sent


def test_every_field_of_every_frame_and_command_with_what_is_wrong_for_it(scene: Scene) -> None:
    assert survives(scene, scene.maker().corpus(), "the corpus") > 2_000


def test_frames_by_chance(scene: Scene) -> None:
    assert survives(scene, scene.maker().generated(5_000), "by chance") == 5_000


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_many_more_frames_by_chance(scene: Scene) -> None:
    assert survives(scene, scene.maker().generated(100_000), "by chance") == 100_000


def test_the_judge_would_notice() -> None:
    """The control: what must never be told is found when it is."""
    error = {"type": "error", "code": "frame.invalid", "message": "x"}
    told = [
        {**error, "message": 'Traceback (most recent call last): File "/srv/x.py"'},
        {**error, "message": f"near {ROOT}/chat"},
        {**error, "message": "SELECT * FROM commerce_order"},
        {**error, "message": CANARIES["address"]},
        {**error, "code": "made.up"},
        {**error, "more": 1},
        {"type": "made up"},
        {"type": "events", "stream": str(uuid7()), "epoch": 1, "first": 1, "last": 1,
         "events": [{"seq": 1, "kind": "message.sent", "at": 1, "body": {"text": CANARIES["message"]}}]},
    ]  # fmt: skip
    judge(msgspec.json.encode(error))
    for frame_ in told:
        with pytest.raises((AssertionError, msgspec.ValidationError)):
            judge(msgspec.json.encode(frame_))
