"""What is written to the log, and what never is: nothing that people wrote, no tokens, cookies or addresses.

One line per record, as text or (LOG_FORMAT=json) as JSON. Of an exception its type and the way it came are told, not
its message: databases and parsers like to quote what they could not take. Of a request its id, its method and the
pattern of its address are told, not the address, which may hold a key.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; '' beside requests."""

_KEPT = "livesale.request_id"
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
# What breaks a line, or moves the terminal of whoever reads it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Their messages quote what the client has sent: a path, a host, what a task has failed with.
_QUOTING = ("django.request", "django.security", "django.server", "asyncio")
# What a record of ours may say beside its sentence.
_FACTS = ("command_id", "command")


def with_request_id(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: every request has an id, the proxy's where there is one of ours; the answer names it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        said = request.headers.get("X-Request-ID", "") if settings.TRUSTED_PROXIES else ""
        known = said if _ID.fullmatch(said) else uuid4().hex
        request.META[_KEPT] = known
        token = request_id.set(known)
        try:
            response = get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = known
        return response

    return middleware


def facts(record: logging.LogRecord) -> dict[str, str]:
    """What a record tells, in the order in which one reads it."""
    found = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        + f".{int(record.msecs):03d}Z",
        "level": record.levelname,
        "logger": record.name,
        "message": _CONTROL.sub(" ", _message(record)),
    }
    known = request_id.get()
    request = getattr(record, "request", None)
    if not known and isinstance(request, HttpRequest):
        # Django tells of some answers when our middleware is through with them
        known = str(request.META.get(_KEPT, ""))
    if known:
        found["request"] = known
    for name in _FACTS:
        value = getattr(record, name, None)
        if value is not None:
            found[name] = _CONTROL.sub(" ", str(value))
    if record.exc_info and record.exc_info[0] is not None:
        found["exception"] = _way_of(record.exc_info)
    return found


def _message(record: logging.LogRecord) -> str:
    if not record.name.startswith(_QUOTING):
        message = record.getMessage()
        if "Traceback (most recent call last)" in message:
            # daphne's way: the last line has the type, and then what it quotes
            return f"failed with {message.rstrip().rpartition(chr(10))[2].partition(':')[0]}"
        return message
    request = getattr(record, "request", None)
    status = getattr(record, "status_code", "")
    if isinstance(request, HttpRequest):
        match = request.resolver_match
        return f"{request.method} {match.route if match else '(no such address)'} {status}".strip()
    # the words of the program, without what it puts in
    return str(record.msg).partition("\n")[0].partition("%")[0].strip() if record.args else record.name


def _way_of(info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]) -> str:
    """Files, lines and types; the code of a refusal or of the database is a fact, its words are not."""
    lines: list[str] = []
    error, seen = info[1], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = getattr(error, "code", None) or getattr(error, "sqlstate", None)
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        lines.append(
            kind + (f" [{code}]" if isinstance(code, str) and re.fullmatch(r"[\w.]{1,60}", code) else "")
        )
        for frame in traceback.extract_tb(error.__traceback__):
            lines.append(f"  {frame.filename}:{frame.lineno} {frame.name}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


class Line(logging.Formatter):
    """For people: one line, and the way of an exception below it."""

    def format(self, record: logging.LogRecord) -> str:
        found = facts(record)
        head = [found.pop(name) for name in ("time", "level", "logger", "message")]
        way = found.pop("exception", "")
        tail = "".join(f" {name}={value}" for name, value in found.items())
        return " ".join(head) + tail + (f"\n{way}" if way else "")


class Json(logging.Formatter):
    """For machines: one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(facts(record), ensure_ascii=False)


class ClientsMistakes(logging.Filter):
    """A client that breaks the rules of the wire is no fault of ours: one line, whichever server tells it.

    uvicorn logs a traceback for a text frame that is not UTF-8, daphne for a protocol name that is not ASCII. Anybody
    may send those, without signing in and as often as they like.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if record.exc_info else None
        # daphne logs the traceback as the message
        told = record.msg.rstrip() if isinstance(record.msg, str) else ""
        is_told = told.startswith("Traceback") and told.rsplit("\n", 1)[-1].startswith("UnicodeDecodeError")
        if isinstance(raised, UnicodeDecodeError) or is_told:
            record.msg, record.args = "A client has sent what is no text.", None
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True
