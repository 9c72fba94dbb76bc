"""What every REST view shares: who asks, typed bodies and answers, and what the OpenAPI document says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from chat.log import reading, registry
from chat.log.errors import Refused
from chat.log.visibility import Viewer
from livesale.accounts.models import User
from livesale.rest.bodies import read_body, read_query
from livesale.rest.schema import StructSchema

# A command may be called before the first socket has opened: its names must be known.
registry.load()


@dataclass(frozen=True, slots=True)
class Operation:
    """One typed operation: what comes in, what goes out, who may ask."""

    name: str
    answer: Any
    body: Any = None
    query: type[msgspec.Struct] | None = None
    status: int = 200
    guests: bool = False
    media_type: str = "application/json"
    body_type: str = "application/json"
    security: str = "session"
    errors: tuple[int, ...] = ()


def operation(
    name: str,
    *,
    answer: Any,
    body: type[msgspec.Struct] | None = None,
    query: type[msgspec.Struct] | None = None,
    guests: bool = False,
    **more: Any,
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponseBase]]:
    """Make a method of an `Api` typed.

    It is called with `body=` and `query=` where those are named, and returns what is encoded as `answer`, or a
    response. Without `guests`, who is not signed in is refused.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        @wraps(method)
        def call(view: Api, request: Request, **path: Any) -> HttpResponseBase:
            if not guests and more.get("security", "session") == "session":
                view.require_person()
            if query is not None:
                path["query"] = read_query(request._request.GET, query)
            if body is not None and more.get("body_type") is None:
                path["body"] = read_body(request._request, body)
            result = method(view, request, **path)
            if isinstance(result, HttpResponseBase):
                return result
            return json_response(result, status=more.get("status", 200))

        call.operation = Operation(name, answer, body, query, guests=guests, **more)  # type: ignore[attr-defined]
        return call

    return decorate


def json_response(value: Any, *, status: int = 200) -> HttpResponse:
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return HttpResponse(data, content_type="application/json", status=status)


class SessionAuth(SessionAuthentication):
    """The site's own session cookie; whoever has one must also know the CSRF token."""

    def enforce_csrf(self, request: Any) -> None:
        # the check looks into the form first; asked of REST framework's request, it would parse the body as JSON
        try:
            super().enforce_csrf(request._request)
        except exceptions.PermissionDenied:
            raise Refused("csrf.failed") from None


class _Always(BaseContentNegotiation):
    """One kind of answer, whatever the client says that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return (renderers[0], renderers[0].media_type)


class Api(APIView):
    """A REST view whose methods are operations."""

    authentication_classes = [SessionAuth]
    content_negotiation_class = _Always
    schema = StructSchema()

    @property
    def person_id(self) -> UUID | None:
        user = self.request.user
        return user.id if isinstance(user, User) else None

    def require_person(self) -> UUID:
        person_id = self.person_id
        if person_id is None:
            raise Refused("auth.required")
        return person_id

    def viewer(self, stream_id: UUID) -> Viewer:
        """This person as a reader of a stream. Raises why they may not read it."""
        person_id = self.person_id
        verdict = reading.access([stream_id], person_id)[stream_id]
        if not verdict.read:
            raise Refused(verdict.reason)
        return Viewer(person_id, verdict.staff)

    def finalize_response(self, request: Request, response: Any, *args: Any, **path: Any) -> Any:
        response = super().finalize_response(request, response, *args, **path)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
