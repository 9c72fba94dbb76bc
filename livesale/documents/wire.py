"""`docs/wire.md`: every frame, command, event, refusal, close code and limit, for people who write a client."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import chat.realtime.consumer  # noqa: F401 - its codes belong to the wire
from chat.log import registry
from chat.log.errors import DESCRIPTIONS
from chat.log.reading import REPLAY_LIMIT
from chat.log.registry import CommandSpec
from chat.log.transaction import RECEIPT_RETENTION
from chat.realtime import closing, limits, protocol
from chat.rooms.permissions import PERMISSIONS as ROOM_PERMISSIONS
from livesale.backoffice.staff import PERMISSIONS as SHOP_PERMISSIONS
from livesale.documents import shapes
from livesale.rest.errors import status_of

CLIENT_FRAMES = get_args(protocol.ClientFrame)
SERVER_FRAMES = get_args(protocol.ServerFrame)

_KNOWN_PERMISSIONS = {
    permission
    for table in (ROOM_PERMISSIONS, SHOP_PERMISSIONS)
    for role in table.values()
    for permission in role
}

_INTRODUCTION = """\
# The wire

<!-- Written by `manage.py generate_docs` from the code. Change the code, then run it again. -->

One WebSocket at `/ws/`, text frames of JSON in both directions, every frame an object with a `type`. A client ignores
frames, events and fields that it does not know; the server refuses fields that it does not know. Moments are Unix
milliseconds of the server's clock, durations are seconds, ids are UUIDs as text, money is whole minor units beside a
`currency`. The client says which version of this page it speaks in the address, `/ws/?protocol=1` (1 where it does
not), and the server in `hello`; a version that is not served is closed with 4426.

A page is known by its session cookie and its `Origin`. Everything else opens the socket without a cookie and sends
`auth` with a single-use ticket (`POST /api/v1/me/ticket/`, or by a shop's key) as its first frame; that socket ends
with the session or the key that asked for the ticket.

What a client does, in the order in which it matters:

1. Remember `(epoch, seq)` per stream. Apply an `events` frame when `first` is at most `seq + 1`, ignore events up to
   `seq`, then set `seq` to `last`. When `first` is larger, `join` again from `seq`. What is withheld is not a gap.
2. Make a UUIDv7 per command, from the server's clock. After a lost link `ask` what became of it; `null` means that it
   was never carried out, and the same id may be sent again.
3. Send an `error` with `temporary` again after `retry_after`, with the same id. Drop the id after any other.
4. Close codes say when to come back; see below.

The same commands and reads are served over REST: [openapi.json](openapi.json). This page as data:
[asyncapi.json](asyncapi.json).
"""


def text(golden: Path) -> str:
    """The whole page. `golden` is the folder with frames of the protocol's tests, which are its examples."""
    registry.load()
    return "\n".join(_sections(Examples(golden))).rstrip() + "\n"


class Examples:
    """Golden frames by the name of what they show: `hello.json`, or several as `do.message.send.json`."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("**/*.json")) if folder.is_dir() else []

    def of(self, name: str) -> Iterator[str]:
        for file in self._files:
            if file.stem == name:
                shown = json.dumps(json.loads(file.read_text()), indent=2, ensure_ascii=False)
                yield f"\n```json\n{shown}\n```"


def _sections(examples: Examples) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Frames from the client\n"
    for frame in CLIENT_FRAMES:
        yield from _frame(frame, examples)
    yield "## Frames from the server\n"
    for frame in SERVER_FRAMES:
        yield from _frame(frame, examples)
    yield from _commands(examples)
    yield from _events(examples)
    yield from _shared()
    yield from _refusals()
    yield from _closing()
    yield from _limits()


def _frame(frame: Any, examples: Examples) -> Iterator[str]:
    tag = frame.__struct_config__.tag
    yield f"### `{tag}`\n\n{shapes.document(frame)}\n"
    yield from _fields(frame)
    yield from examples.of(str(tag))
    yield ""


def _fields(kind: Any) -> Iterator[str]:
    _, components = shapes.schemas([kind])
    schema = components[kind.__name__]
    required = set(schema.get("required", []))
    rows = []
    for name, shape in schema.get("properties", {}).items():
        if name == "type" and kind.__struct_config__.tag is not None:
            continue
        rows.append(f"| `{name}` | {shapes.words(shape)} | {_default(name, shape, required)} |")
    if rows:
        yield "| field | is | default |\n|---|---|---|"
        yield from rows
    else:
        yield "No fields."


def _default(name: str, shape: dict[str, Any], required: set[str]) -> str:
    if name in required:
        return "required"
    return f"`{json.dumps(shape['default'], ensure_ascii=False)}`" if "default" in shape else ""


# --- commands and events ------------------------------------------------------------------------------------------


def permissions(spec: CommandSpec) -> list[str]:
    """The permissions that a handler asks for, as far as its own code names them."""
    named = getattr(spec.handler, "permission", "") or ""
    source = inspect.getsource(type(spec.handler))
    found = {named, *re.findall(r'"([a-z_]+\.[a-z_]+)"', source)}
    # what it is called and what it emits may look the same
    source = re.sub(r'@command\("[^"]*"|emit\([^)]*\)|Refused\("[^"]*"', "", source)
    found &= {named, *re.findall(r'"([a-z_]+\.[a-z_]+)"', source)}
    return sorted(found & _KNOWN_PERMISSIONS)


def _permissions(spec: CommandSpec) -> str:
    asked = permissions(spec)
    if not asked:
        return ""
    return f" Permission{'s' if len(asked) > 1 else ''} that matter{'' if len(asked) > 1 else 's'}: " + (
        ", ".join(f"`{p}`" for p in asked) + "."
    )


def _commands(examples: Examples) -> Iterator[str]:
    yield "## Commands\n"
    yield (
        "Sent as `do`, or as `POST /api/v1/streams/{stream}/commands/{name}/`. `on` says on which kinds of streams. A "
        f"command's id is remembered for {RECEIPT_RETENTION.days} days.\n"
    )
    for name, spec in sorted(registry.COMMANDS.items()):
        if spec.system:
            continue
        yield f"### `{name}`\n\n{shapes.document(spec.body)}\n"
        yield f"On: {', '.join(spec.stream_kinds)}.{_permissions(spec)}\n"
        yield from _fields(spec.body)
        answer = getattr(spec.handler, "answer", None)
        if answer is not None:
            yield f"\nAnswer: {shapes.document(answer)}\n"
            yield from _fields(answer)
        yield from examples.of(f"do.{name}")
        yield ""


def _events(examples: Examples) -> Iterator[str]:
    yield "## Events\n"
    yield "Entries of a stream's log, `{seq, kind, at, body}`: by `kind`, with the fields of `body`.\n"
    for kind, spec in sorted(registry.EVENTS.items()):
        yield f"### `{kind}`\n\n{shapes.document(spec.body)}\n"
        if spec.changes_access:
            yield "Readers are judged anew after it.\n"
        yield from _fields(spec.body)
        yield from examples.of(f"event.{kind}")
        yield ""


def _shared() -> Iterator[str]:
    """Structs that fields above refer to."""
    tops = [*CLIENT_FRAMES, *SERVER_FRAMES]
    tops += [spec.body for spec in registry.COMMANDS.values() if not spec.system]
    tops += [spec.body for spec in registry.EVENTS.values()]
    _, components = shapes.schemas(tops)
    inner = sorted(components.keys() - {kind.__name__ for kind in tops})
    if not inner:
        return
    yield "## Shapes inside others\n"
    for name in inner:
        schema = components[name]
        yield f"### `{name}`\n"
        if schema.get("description"):
            yield " ".join(str(schema["description"]).split()) + "\n"
        required = set(schema.get("required", []))
        yield "| field | is | default |\n|---|---|---|"
        for field, shape in schema.get("properties", {}).items():
            yield f"| `{field}` | {shapes.words(shape)} | {_default(field, shape, required)} |"
        yield ""


# --- refusals, close codes, limits --------------------------------------------------------------------------------


class _Code:
    def __init__(self, code: str) -> None:
        self.code = code


def _refusals() -> Iterator[str]:
    yield "## Refusals\n"
    yield (
        "`code` of an `error` frame, and of REST's errors with the status beside it. The sentence comes in the "
        "reader's language, filled from `params`.\n"
    )
    yield "| code | status | sentence |\n|---|---|---|"
    for code, sentence in sorted(DESCRIPTIONS.items()):
        yield f"| `{code}` | {status_of(_Code(code))} | {sentence} |"  # type: ignore[arg-type]
    yield ""


def _closing() -> Iterator[str]:
    yield "## Close codes\n"
    yield (
        "4000–4099: connect again and resume. 4100–4199: connect again after `retry_after`. 4400–4499: stop until the "
        "person has done something. Any other code (1006, 1012 …): connect again, after a random part of a growing "
        "while. `bye` tells the same in a frame, because not every server sends a reason.\n"
    )
    yield "| code | `reason` | means |\n|---|---|---|"
    for code in closing.CloseCode:
        yield f"| {int(code)} | `{code.name.lower()}` | {closing.MEANING[code]} |"
    yield ""


def _limits() -> Iterator[str]:
    yield "## Limits\n"
    yield "Told in `hello.limits`, where they have a name there:\n"
    yield "| limit | is | in `hello.limits` |\n|---|---|---|"
    told = limits.TOLD
    rows = [
        ("characters of a frame", limits.FRAME, "frame"),
        ("characters of a command's frame", limits.COMMAND, "command"),
        ("streams that one socket follows", limits.STREAMS, "streams"),
        ("frames per second, on average, of all sockets of a person", int(limits.RATE), "rate"),
        ("frames at once", limits.BURST, "burst"),
        ("seconds of silence until the server gives up", int(limits.SILENCE), "silence"),
        ("seconds until the server says that it is there", int(limits.BEAT), "beat"),
        ("sockets of one person on one process", limits.SOCKETS_PER_PERSON, ""),
        ("ids in one `ask`", limits.ASK_IDS, ""),
        ("frames in a row that are not understood", limits.ERRORS, ""),
        ("events in a replay; beyond it a snapshot", REPLAY_LIMIT, ""),
    ]
    for what, value, name in rows:
        assert not name or told[name] == value
        yield f"| {what} | {value} | {f'`{name}`' if name else ''} |"
    yield ""
