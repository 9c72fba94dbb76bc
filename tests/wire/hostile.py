"""Frames that no honest client sends: a corpus made from the registered types, and any number of others by chance.

Every frame type and every command is here by itself, because bodies are made from what is registered.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, get_args
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chat.log.registry import COMMANDS, CommandSpec
from chat.realtime import protocol


class Literal(str):
    """JSON that Python would not write: goes into a frame as it is."""


# Wrong in one way or another for nearly every field; what a field takes after all must do no harm either.
WRONG: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**63, -(2**63) - 1, "", "1", " ", "\u0000", "a\u0000b", "\u202egnp.exe",
    [], {}, [None], {"a": 1}, [[[[[[[[[[[[1]]]]]]]]]]]], "x" * 3_000, "🧑‍🧑‍🧒" * 100, "e" + "\u0301" * 500,
    "__proto__", "websocket.close", "' OR 1=1 --", "{text}", "%s%n", "../../etc/passwd",
    Literal("NaN"), Literal("Infinity"), Literal("-Infinity"), Literal("1e400"), Literal("-0.0"), Literal("9" * 4_000),
    Literal('"\\ud800"'), Literal('"\\udfff\\ud800x"'), Literal("01"), Literal("tru"), Literal('{"a":1,"a":2}'),
]  # fmt: skip

# Not JSON, or not a frame.
BROKEN: list[str | bytes] = [
    "", " ", "{", "}", "[", '"', "{}", "[]", "null", "true", "7", "NaN", '"text"', "{]", '{"type"}', '{"type":}',
    '{"type":"ping"', '{"type":"ping"}}', '{"type":"ping"}{"type":"ping"}', "{'type':'ping'}", '{type:"ping"}',
    '{"type":"ping",}', '{"type":"ping","at":1e999}', '{"type":"ping","at":0x1}', '{"type":"ping"}\u0000',
    '\ufeff{"type":"ping"}', '{"type":"ping","type":"do"}', '{"type":"ping","at":1,"at":"x"}', '{"type":null}',
    '{"type":["ping"]}', '{"type":{"ping":1}}', '{"type":"\\u0070ing\\u0000"}', '{"type":"PING"}',
    "[" * 30_000, '{"a":' * 10_000, '{"type":"ping","at":' + "[" * 20_000 + "]" * 20_000 + "}",
    '{"type":"do","body":' + '{"a":' * 8_000 + "1" + "}" * 8_000 + "}", "9" * 60_000, '"' + "x" * 60_000 + '"',
    '{"type":"ping","at":' + "9" * 5_000 + "}", '{"type":"' + "x" * 60_000 + '"}',
    *(json.dumps({"type": name}) for name in (
        "disconnect", "websocket.disconnect", "websocket.close", "websocket.receive", "websocket.send", "receive",
        "connect", "http.request", "livesale.doorbell", "group_send", "hello", "joined", "events", "ack", "bye",
        "beat", "__proto__", "constructor", "__class__", "toString", "", " ping", "ping ", "Ping",
    )),
    *(json.dumps({"type": "ping", name: 1}) for name in ("__proto__", "__class__", "constructor", "self", "type ", "")),
    b"", b"\x00", b"\xff\xfe\xfd", b'{"type":"ping"}', b"\x81\x00", bytes(range(256)) * 20,
]  # fmt: skip


# Single characters that break JSON, or look as if they did.
ODD = [*'{}[]",:\\0', "\0", "\ud7ff", "é", "🧣"]


def dumps(frame: Any) -> str:
    """JSON of a frame in which `Literal` stands for itself."""
    if isinstance(frame, Literal):
        return str(frame)
    if isinstance(frame, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dumps(v)}" for k, v in frame.items()) + "}"
    if isinstance(frame, list):
        return "[" + ",".join(map(dumps, frame)) + "]"
    return json.dumps(frame)


class Maker:
    """Makes frames by chance, always the same for one seed.

    `streams` are known by kind (`foreign` ones among them); `ids` are things of one's own by the name of the field that
    takes them; `foreign` are other people's.
    """

    def __init__(
        self, seed: int, streams: dict[str, list[str]], ids: dict[str, str], foreign: list[str]
    ) -> None:
        self.chance = random.Random(seed)
        self._streams = streams
        self._named = ids
        self._ids = [*ids.values(), *foreign, *(stream for some in streams.values() for stream in some)]
        self.commands = [
            spec
            for _, spec in sorted(COMMANDS.items())
            # an archived room would refuse all that follows for that reason alone; other tests register their own
            if spec.name != "room.archive" and not type(spec.handler).__module__.startswith("tests.")
        ]
        self._types = get_args(protocol.ClientFrame)

    # --- what is right --------------------------------------------------------------------------------------------

    def value(self, kind: msgspec.inspect.Type, name: str = "") -> Any:
        """Something that a field of this type (and name) may hold."""
        match kind:
            case msgspec.inspect.UnionType():
                return self.value(self.chance.choice(kind.types), name)
            case msgspec.inspect.IntType():
                low = kind.ge if kind.ge is not None else 0
                return self.chance.randint(low, min(kind.le if kind.le is not None else 1_000, low + 1_000))
            case msgspec.inspect.FloatType():
                return self.chance.uniform(-1e6, 1e6)
            case msgspec.inspect.BoolType():
                return self.chance.random() < 0.5
            case msgspec.inspect.StrType():
                words = ["a", "word", "of", "somebody,", "12", "M", "x2", "sold", "!", "é", "漢", "🧣"]
                said = " ".join(self.chance.choices(words, k=self.chance.randint(1, 6)))
                return said[: kind.max_length] if kind.max_length is not None else said
            case msgspec.inspect.UUIDType():
                if name in self._named and self.chance.random() < 0.8:
                    return self._named[name]
                return self.chance.choice([*self._ids, str(UUID(int=self.chance.getrandbits(128)))])
            case msgspec.inspect.LiteralType():
                return self.chance.choice(kind.values)
            case msgspec.inspect.ListType():
                return [self.value(kind.item_type) for _ in range(self.chance.randint(0, 3))]
            case msgspec.inspect.DictType():
                return {
                    str(self.value(kind.key_type)): self.value(kind.value_type)
                    for _ in range(self.chance.randint(0, 3))
                }
            case msgspec.inspect.StructType():
                return self.fields(kind)
            case msgspec.inspect.NoneType():
                return None
            case msgspec.inspect.DateTimeType():
                return f"20{self.chance.randint(20, 40)}-01-01T00:00:00Z"
            case msgspec.inspect.AnyType() | msgspec.inspect.RawType():
                return {"a": self.chance.choice(WRONG)}
            case _:
                raise AssertionError(f"{kind} is new: say here what a field of it may hold")

    def fields(self, kind: msgspec.inspect.StructType) -> dict[str, Any]:
        made = {
            f.encode_name: self.value(f.type) for f in kind.fields if f.required or self.chance.random() < 0.6
        }
        return {kind.tag_field: kind.tag, **made} if kind.tag_field else made

    def body(self, spec: CommandSpec) -> dict[str, Any]:
        return self.value(msgspec.inspect.type_info(spec.body))  # type: ignore[no-any-return]

    def do(self, spec: CommandSpec, body: Any) -> dict[str, Any]:
        kinds = spec.stream_kinds if self.chance.random() < 0.9 else ("foreign",)
        stream = self.chance.choice(self._streams[self.chance.choice(kinds)])
        return {"type": "do", "id": str(uuid7()), "stream": stream, "name": spec.name, "body": body}

    def frame(self) -> dict[str, Any]:
        """A frame that could be right, as far as types go."""
        if self.chance.random() < 0.75:
            spec = self.chance.choice(self.commands)
            return self.do(spec, self.body(spec))
        return self.value(msgspec.inspect.type_info(self.chance.choice(self._types)))  # type: ignore[no-any-return]

    # --- what is wrong --------------------------------------------------------------------------------------------

    def corpus(self) -> Iterator[str | bytes]:
        """What is broken, then each field of each frame and of each command with much that is wrong for it."""
        yield from BROKEN
        for kind in self._types:
            info = msgspec.inspect.type_info(kind)
            assert isinstance(info, msgspec.inspect.StructType)
            yield dumps({"type": info.tag})
            for field in info.fields:
                for wrong in WRONG:
                    yield dumps(self.fields(info) | {field.encode_name: wrong})
        for spec in self.commands:
            info = msgspec.inspect.type_info(spec.body)
            assert isinstance(info, msgspec.inspect.StructType)
            whole = self.body(spec)
            for wrong in (
                None,
                [],
                "text",
                7,
                whole | {"unknown": 1},
                whole | {"__proto__": {"staff": True}},
            ):
                yield dumps(self.do(spec, wrong))
            for field in info.fields:
                # every field sees each wrong value in the long run; a few of them each time
                for wrong in self.chance.sample(WRONG, 9):
                    yield dumps(self.do(spec, self.body(spec) | {field.encode_name: wrong}))

    def generated(self, count: int) -> Iterator[str | bytes]:
        for _ in range(count):
            said = dumps(self._spoil(self.frame()))
            roll = self.chance.random()
            if roll < 0.08:
                said = said[: self.chance.randrange(len(said))]
            elif roll < 0.16:
                at, gone = self.chance.randrange(len(said)), self.chance.randint(0, 2)
                odd = self.chance.choice(ODD)
                said = said[:at] + odd + said[at + gone :]
            elif roll < 0.20:
                # a key twice: the second time with something else
                key = self.chance.choice(["type", "id", "stream", "name", "body"])
                said = said[:-1] + f',"{key}":{dumps(self.chance.choice(WRONG))}}}'
            yield said.encode() if roll > 0.99 else said

    def _spoil(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Something of it, at any depth, becomes wrong, goes missing, or is too much; some stay as they are."""
        if self.chance.random() < 0.35:
            return frame
        for _ in range(self.chance.randint(1, 2)):
            inside = frame
            while True:
                deeper = [v for v in inside.values() if isinstance(v, dict) and v]
                if not deeper or self.chance.random() < 0.3:
                    break
                inside = self.chance.choice(deeper)
            key = self.chance.choice(sorted(inside))
            roll = self.chance.random()
            if roll < 0.65:
                inside[key] = self.chance.choice([*WRONG, *self._ids])
            elif roll < 0.8:
                del inside[key]
            else:
                inside[self.chance.choice(["unknown", "__proto__", "is_staff", key.upper(), ""])] = True
            if not frame:
                break
        return frame
