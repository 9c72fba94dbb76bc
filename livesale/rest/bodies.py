"""Reading what a request brings: strict JSON into a typed struct, query strings into another."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from django.http import HttpRequest, QueryDict

from chat.log.errors import Refused

LIMIT = 64 * 1024
DEPTH = 8

T = TypeVar("T")


def read_json(request: HttpRequest) -> bytes:
    """The body of a request, checked for what no decoder refuses: size, type, depth, keys that come twice."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > LIMIT:
        raise Refused("body.too_large", limit=LIMIT)
    data = request.body
    if len(data) > LIMIT:
        raise Refused("body.too_large", limit=LIMIT)
    if not data:
        return b"{}"
    if request.content_type != "application/json":
        raise Refused("body.wrong_type", wanted="application/json")
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("command.invalid", reason=str(error)[:200]) from None
    if _deeper_than(value, DEPTH):
        raise Refused("command.invalid", reason=f"nested deeper than {DEPTH}")
    return data


def read_body(request: HttpRequest, kind: type[T]) -> T:
    """The body as a struct; unknown fields are refused where the struct says so."""
    try:
        return msgspec.json.decode(read_json(request), type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused("command.invalid", reason=str(error)[:200]) from None


def read_query(query: QueryDict, kind: type[T]) -> T:
    """The query string as a struct. A name given twice is refused like an unknown one."""
    twice = [name for name, values in query.lists() if len(values) > 1]
    if twice:
        raise Refused("command.invalid", reason=f"{twice[0][:40]} is given twice")
    try:
        return msgspec.convert(query.dict(), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused("command.invalid", reason=str(error)[:200]) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _deeper_than(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == 0 or any(_deeper_than(inner, depth - 1) for inner in value)
