"""`docs/asyncapi.json`: the wire as an AsyncAPI 3.0 document, for tools."""

from __future__ import annotations

import json
from typing import Any

from chat.log import registry
from chat.realtime import protocol
from livesale.documents import shapes
from livesale.documents.wire import CLIENT_FRAMES, SERVER_FRAMES

_CHANNEL = "#/channels/socket"


def document() -> dict[str, Any]:
    """The document. A `do` is one message per command, and events are told apart by their kind."""
    registry.load()
    commands = {name: spec for name, spec in sorted(registry.COMMANDS.items()) if not spec.system}
    events = dict(sorted(registry.EVENTS.items()))
    kinds = [*CLIENT_FRAMES, *SERVER_FRAMES]
    kinds += [spec.body for spec in commands.values()] + [spec.body for spec in events.values()]
    found, components = shapes.schemas(kinds)
    schemas = {name: _one_line(schema) for name, schema in components.items()}
    schemas |= {f"event.{kind}": _event(kind, found[spec.body]) for kind, spec in events.items()}
    _refine_events(schemas, list(events))

    from_client = {
        str(frame.__struct_config__.tag): _message(frame, found[frame])
        for frame in CLIENT_FRAMES
        if frame is not protocol.Do
    }
    from_client |= {
        f"do.{name}": {
            "name": f"do {name}",
            "summary": spec.summary,
            "payload": _command(name, found[spec.body]),
        }
        for name, spec in commands.items()
    }
    from_server = {str(f.__struct_config__.tag): _message(f, found[f]) for f in SERVER_FRAMES}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "livesale",
            "version": str(protocol.VERSION),
            "description": "The socket of livesale. Rules that a schema cannot say are in wire.md.",
            "license": {"name": "BSD-3-Clause"},
        },
        "defaultContentType": "application/json",
        "servers": {"here": {"host": "localhost:8000", "protocol": "ws"}},
        "channels": {
            "socket": {
                "address": "/ws/",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in {**from_client, **from_server}
                },
            }
        },
        "operations": {
            "fromClient": _operation("receive", "What a client may send.", list(from_client)),
            "fromServer": _operation("send", "What the server sends.", list(from_server)),
        },
        "components": {"messages": {**from_client, **from_server}, "schemas": dict(sorted(schemas.items()))},
    }


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _message(frame: Any, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(frame.__struct_config__.tag),
        "summary": shapes.document(frame).split("\n")[0],
        "payload": schema,
    }


def _command(name: str, body: dict[str, Any]) -> dict[str, Any]:
    uuid = {"type": "string", "format": "uuid"}
    return {
        "type": "object",
        "properties": {
            "type": {"const": "do"},
            "id": uuid,
            "stream": uuid,
            "name": {"const": name},
            "body": body,
        },
        "required": ["type", "id", "stream", "name", "body"],
        "additionalProperties": False,
    }


def _event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": kind,
        "type": "object",
        "properties": {
            "seq": {"type": "integer"},
            "kind": {"const": kind},
            "at": {"type": "integer"},
            "body": body,
        },
        "required": ["seq", "kind", "at", "body"],
    }


def _refine_events(schemas: dict[str, Any], kinds: list[str]) -> None:
    schemas["Events"]["properties"]["events"]["items"] = {
        "oneOf": [{"$ref": f"#/components/schemas/event.{kind}"} for kind in kinds]
    }
    schemas.pop("Event", None)
    schemas.pop("Do", None)


def _one_line(schema: dict[str, Any]) -> dict[str, Any]:
    """Descriptions as one line: docstrings are broken where the source is."""
    if "description" in schema:
        return {**schema, "description": " ".join(str(schema["description"]).split())}
    return schema


def _operation(action: str, summary: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": _CHANNEL},
        "summary": summary,
        "messages": [{"$ref": f"{_CHANNEL}/messages/{name}"} for name in messages],
    }
