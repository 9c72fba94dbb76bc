"""Whatever is refused or goes wrong leaves as the same JSON, never as a page and never with a traceback."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import get_language
from rest_framework import exceptions

import chat.realtime.consumer  # noqa: F401 - REST refuses with the socket's codes, whose sentences are there
from chat.log.errors import Refused, describe
from chat.log.registry import REFUSALS
from chat.realtime.answers import sentence

logger = logging.getLogger(__name__)

describe("address.unknown", "There is nothing at this address.")
describe("method.not_allowed", "That cannot be done at this address.")
describe("body.too_large", "That is too long: at most {limit} bytes.")
describe("body.wrong_type", "Send this as {wanted}.")
describe("command.bad_id", "The header Idempotency-Key must be a UUID of version 7.")
describe("csrf.failed", "This page is too old to send that. Reload it and try again.")
describe("media.too_large", "That picture is too large: at most {most} bytes.")
describe("media.too_many_pixels", "That picture has too many pixels: at most {most}.")
describe("media.not_an_image", "That is not a picture that can be read here.")
describe("events.resync", "The log no longer reaches back to that position. Take a snapshot.")
describe("key.invalid", "That key is not valid for this shop.")
describe("key.above_ceiling", "That person may do more than this key.")


class Error(msgspec.Struct, frozen=True):
    """Why a request was not carried out.

    With `temporary` the same request (and the same Idempotency-Key) may be sent again, `retry_after` seconds from now.
    """

    code: str
    message: str
    params: dict[str, Any] = {}
    temporary: bool = False
    retry_after: float | None = None


# Codes whose status does not follow from their name.
_STATUS = {
    "auth.required": 401,
    "auth.failed": 401,
    "auth.confirm": 403,
    "key.invalid": 401,
    "key.above_ceiling": 403,
    "csrf.failed": 403,
    "permission.denied": 403,
    "member.banned": 403,
    "room.locked": 403,
    "member.timed_out": 429,
    "message.slow": 429,
    "message.too_fast": 429,
    "staff.too_many_tries": 429,
    "rate.limited": 429,
    "method.not_allowed": 405,
    "body.too_large": 413,
    "media.too_large": 413,
    "body.wrong_type": 415,
    "server.error": 500,
    "command.bad_id": 400,
    "invite.invalid": 409,
}


def status_of(error: BaseException) -> int:
    """The HTTP status of a refusal: by its code, else by what its name and its nature say."""
    code = getattr(error, "code", "server.error")
    if code in _STATUS:
        return _STATUS[code]
    if code.endswith(".unknown"):
        return 404
    if code.endswith(".invalid"):
        return 400
    if code.startswith("server.") or getattr(error, "temporary", False):
        return 503
    return 409


def error_response(error: BaseException, *, language: str = "") -> HttpResponse:
    """The answer to a refusal, in the reader's language."""
    params = getattr(error, "params", {})
    code = getattr(error, "code", "server.error")
    retry_after = getattr(error, "retry_after", None)
    body = Error(
        code=code,
        message=sentence(code, params, language or get_language() or ""),
        params=params,
        temporary=getattr(error, "temporary", False),
        retry_after=retry_after,
    )
    response = HttpResponse(
        msgspec.json.encode(body), content_type="application/json", status=status_of(error)
    )
    response["Cache-Control"] = "no-store"
    if retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if response.status_code == 401:
        response["WWW-Authenticate"] = "Session"
    return response


def as_refusal(error: BaseException) -> BaseException:
    """What a client is told of any exception; what nobody foresaw is logged and becomes `server.error`."""
    match error:
        case Http404():
            return Refused("address.unknown")
        case exceptions.MethodNotAllowed():
            return Refused("method.not_allowed")
        case exceptions.Throttled():
            wait = float(getattr(error, "wait", None) or 1)
            return Refused(
                "rate.limited", temporary=True, retry_after=round(wait, 1), seconds=math.ceil(wait)
            )
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Refused("auth.required")
        case PermissionDenied() | exceptions.PermissionDenied():
            return Refused("permission.denied")
        case RequestDataTooBig():
            return Refused("body.too_large", limit=64 * 1024)
        case SuspiciousOperation() | exceptions.APIException():
            return Refused("command.invalid", reason=type(error).__name__)
        case DatabaseError():
            logger.warning("a request met a database that did not answer: %s", type(error).__name__)
            return Refused("server.unavailable", temporary=True, retry_after=2.0)
    if isinstance(error, tuple(REFUSALS)) or (hasattr(error, "code") and hasattr(error, "retry_after")):
        return error
    logger.error("a request failed", exc_info=error)
    return Refused("server.error")


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """The exception handler of every REST view."""
    # asking for `request.user` would sign in again, which may be what failed
    user = vars(context["request"]).get("_user") if context.get("request") is not None else None
    return error_response(as_refusal(error), language=getattr(user, "language", ""))


def wants_json(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/_allauth/", "/webhooks/"))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form or call without a valid CSRF token; the name is in settings."""
    return refusal_at(request, Refused("csrf.failed"))


def plain_page(refusal: BaseException) -> HttpResponse:
    """A refusal for somebody who opened a page: one sentence, no markup."""
    text = sentence(
        getattr(refusal, "code", "server.error"), getattr(refusal, "params", {}), get_language() or ""
    )
    response = HttpResponse(text + "\n", content_type="text/plain; charset=utf-8", status=status_of(refusal))
    retry_after = getattr(refusal, "retry_after", None)
    if retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def refusal_at(request: HttpRequest, refusal: BaseException) -> HttpResponse:
    """The answer that whoever asks at this address understands."""
    return error_response(refusal) if wants_json(request) else plain_page(refusal)


class DatabaseAway:
    """Middleware: a view that met no database is told as something that passes, to people and to gateways alike."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        return refusal_at(request, as_refusal(exception))


def not_found(request: HttpRequest, exception: Exception | None = None, **path: Any) -> HttpResponse:
    return refusal_at(request, Refused("address.unknown"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal_at(request, as_refusal(exception))


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal_at(request, Refused("permission.denied"))


def failed(request: HttpRequest) -> HttpResponse:
    """Django has logged the exception already."""
    return refusal_at(request, Refused("server.error"))
