"""A person's own data: all of it in a file, and the end of it."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from chat.log.errors import Refused, describe
from livesale.claims.views import ms
from livesale.personal import erasure, export
from livesale.rest.api import Api, operation
from livesale.rest.throttle import throttle

describe("auth.confirm", "Please enter your password once more, then try again.")

# For so long after the password was given, in seconds, its owner is taken to sit there.
RECENT = 300


class Account(msgspec.Struct, frozen=True):
    """When this account is deleted (Unix ms); null when nobody asked for it. `days` to think again are given."""

    erased_at: int | None
    days: int


def require_recent(request: Request) -> None:
    """Who found a phone unlocked is not its owner. Raises `auth.confirm`: see allauth's `auth/reauthenticate`."""
    records = get_authentication_records(request._request, request.user)
    if not any(time.time() - float(record["at"]) < RECENT for record in records):
        raise Refused("auth.confirm")


class ExportView(Api):
    throttle_classes = [throttle("personal_export", 5, 3600)]

    @operation("me.export", answer=dict[str, Any], errors=(403, 429))
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everything that is yours here, as one file. The password must have been given in the last five minutes."""
        person_id = self.require_person()
        require_recent(request)
        file = export.to_file(person_id)
        size = file.seek(0, 2)
        file.seek(0)
        response = StreamingHttpResponse(export.pieces(file), content_type="application/json")
        response["Content-Length"] = str(size)
        response["Content-Disposition"] = 'attachment; filename="livesale-my-data.json"'
        return response


class ErasureView(Api):
    throttle_classes = [throttle("personal_erasure", 20, 3600)]

    @operation("me.erasure", answer=Account)
    def get(self, request: Request) -> Account:
        """Whether your account is going to be deleted, and when."""
        return _account(erasure.asked(self.require_person()))

    @operation("me.erase", answer=Account, errors=(403, 409, 429))
    def post(self, request: Request) -> Account:
        """Have your account deleted in some days. The password must have been given in the last five minutes."""
        person_id = self.require_person()
        require_recent(request)
        return _account(erasure.ask(person_id))

    @operation("me.stay", answer=Account, errors=(429,))
    def delete(self, request: Request) -> Account:
        """Keep your account after all."""
        erasure.think_again(self.require_person())
        return _account(None)


def _account(wish: Any) -> Account:
    return Account(ms(wish.due_at) if wish is not None else None, settings.ERASURE_GRACE_DAYS)
