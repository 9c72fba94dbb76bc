"""What subjects plug into the log: commands, what events look like, who may come in, what a snapshot holds.

A subject registers at import time, from its `commands.py` and `events.py`; `chat.log.registry.load()` imports those
modules of every installed app once. Nothing in this package or in `chat.realtime` changes for a new subject.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec

from chat.log.errors import Refused
from chat.log.visibility import Viewer

if TYPE_CHECKING:
    from chat.log.batch import Batch, Request


class Handler:
    """How one kind of command is carried out, in the middle of a batch.

    `declare` is called once with all requests of this kind in the batch, after their streams are locked: it tells the
    batch's parts what to lock and load (set-based; reads of immutable facts are allowed). `decide` is called per
    request in arrival order when everything is loaded: pure, it checks first and mutates the parts afterwards, emits
    events and returns the answer, or raises `Refused` having changed nothing.
    """

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        raise NotImplementedError

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        raise NotImplementedError

    def outcome(self, answer: dict[str, Any]) -> str:
        """What kind of success an answer is, in a word or two, for those who count; never what the person said."""
        return "ok"


@dataclass(frozen=True, slots=True)
class CommandSpec:
    name: str
    body: type[msgspec.Struct]
    handler: Handler
    stream_kinds: tuple[str, ...]
    system: bool
    guests: bool
    # reads a body from JSON
    decode: Callable[[bytes | msgspec.Raw], Any]
    # may gather for a moment with others
    patient: bool = False

    @property
    def summary(self) -> str:
        return (self.body.__doc__ or "").strip().split("\n")[0]


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A kind of event: the shape of its body on the wire, and how replay refills what the log does not hold."""

    kind: str
    body: type[msgspec.Struct]
    hydrate: Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]] | None
    changes_access: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What a person may do with a stream as a reader. `person_version` rises when it must be judged anew."""

    read: bool
    staff: bool = False
    reason: str = "stream.unknown"


class AccessProvider(Protocol):
    """What these people (or guests, None) may do with these streams, in a number of queries that does not grow."""

    def __call__(
        self, pairs: Sequence[tuple[UUID, UUID | None]]
    ) -> dict[tuple[UUID, UUID | None], Access]: ...


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One named part of a stream's snapshot. Public parts are cached per head; personal ones are made per viewer."""

    name: str
    public: Callable[[UUID], Any] | None
    personal: Callable[[UUID, Viewer], Any] | None


class LatestProvider(Protocol):
    """The latest values of streams: {stream: {key: (version, value)}}, for beacon and snapshot."""

    def __call__(self, stream_ids: Sequence[UUID]) -> dict[UUID, dict[str, tuple[int, Any]]]: ...


class Gate(Protocol):
    """Turns requests away that cannot but be refused, before they cost a transaction.

    Called in a lane's thread with a whole batch in the order of arrival; returns refusals by position. It may go by
    nothing but what a commit has shown, and not for long: see `chat.log.gates`.
    """

    def __call__(self, requests: Sequence[Request]) -> dict[int, Exception]: ...


COMMANDS: dict[str, CommandSpec] = {}
EVENTS: dict[str, EventSpec] = {}
ACCESS: dict[str, AccessProvider] = {}
SNAPSHOTS: dict[str, list[SnapshotPart]] = {}
LATEST: list[LatestProvider] = []
GATES: list[Gate] = []
EFFECTS: dict[str, Callable[[dict[str, Any]], None]] = {}
REFUSALS: list[type[Exception]] = [Refused]


def command(
    name: str,
    body: type[msgspec.Struct],
    *,
    on: Iterable[str] = ("room",),
    system: bool = False,
    guests: bool = False,
    patient: bool = False,
) -> Callable[[type[Handler]], type[Handler]]:
    """Register a handler class for command `name` on these kinds of streams. System commands come only from us.

    `patient`: when many come, they may gather for a moment so that they share a transaction.
    """

    def register(handler: type[Handler]) -> type[Handler]:
        if name in COMMANDS:
            raise RuntimeError(f"command {name} is registered twice")
        decode = msgspec.json.Decoder(body).decode
        COMMANDS[name] = CommandSpec(name, body, handler(), tuple(on), system, guests, decode, patient)
        return handler

    return register


def event(
    kind: str,
    body: type[msgspec.Struct],
    *,
    hydrate: Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]] | None = None,
    changes_access: bool = False,
) -> str:
    """Register a kind of event and return its name.

    `changes_access`: after it, the sockets of the person in `body["person"]`, or of all when there is none, are judged
    anew.
    """
    if kind in EVENTS:
        raise RuntimeError(f"event {kind} is registered twice")
    EVENTS[kind] = EventSpec(kind, body, hydrate, changes_access)
    return kind


def access(stream_kind: str) -> Callable[[AccessProvider], AccessProvider]:
    def register(provider: AccessProvider) -> AccessProvider:
        ACCESS[stream_kind] = provider
        return provider

    return register


def snapshot_part(
    stream_kind: str,
    name: str,
    *,
    public: Callable[[UUID], Any] | None = None,
    personal: Callable[[UUID, Viewer], Any] | None = None,
) -> None:
    SNAPSHOTS.setdefault(stream_kind, []).append(SnapshotPart(name, public, personal))


def latest_values(provider: LatestProvider) -> LatestProvider:
    LATEST.append(provider)
    return provider


def gate(function: Gate) -> Gate:
    """Register a gate. Only lanes ask it; what does not go through one is judged by its transaction."""
    GATES.append(function)
    return function


def effect(name: str) -> Callable[[Callable[[dict[str, Any]], None]], Callable[[dict[str, Any]], None]]:
    """Register what carries out an effect (mail, gateway call) outside any transaction. It may be called again."""

    def register(function: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        EFFECTS[name] = function
        return function

    return register


def treat_as_refusal(error: type[Exception]) -> None:
    """Let a foreign exception class with `code`, `params`, `temporary`, `retry_after` count as `Refused`."""
    REFUSALS.append(error)


_loaded = False


def load(packages: Iterable[str] = ("chat", "livesale")) -> None:
    """Import `commands` and `events` of every subject below these packages, once."""
    global _loaded  # noqa: PLW0603 - a process-wide registry
    if _loaded:
        return
    _loaded = True
    for package in packages:
        root = importlib.import_module(package)
        for subject in pkgutil.iter_modules(root.__path__, f"{package}."):
            if not subject.ispkg:
                continue
            inside = {m.name for m in pkgutil.iter_modules(importlib.import_module(subject.name).__path__)}
            for module in ("errors", "events", "commands"):
                if module in inside:
                    importlib.import_module(f"{subject.name}.{module}")
