"""Shops with users of their own: their server asks here, with the shop's key, for a ticket per user."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from chat.log.errors import Refused
from commerce.shops.models import ShopKey
from commerce.shops.services import find_key
from livesale.accounts.address import client_address
from livesale.accounts.external import ticket_for
from livesale.rest.api import Api, operation
from livesale.rest.shops import find_shop
from livesale.rest.throttle import Throttle, throttle

_Guesses = throttle("key_guess", 30)


class External(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A user of the shop's own site, by the id that they have there."""

    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=190)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]


class ExternalTicket(msgspec.Struct, frozen=True):
    """A single-use pass for one socket of that user, valid for 30 seconds."""

    ticket: str
    person: UUID


class KeyAuth(BaseAuthentication):
    """`Authorization: Bearer <shop key>`; no cookie counts here, so no CSRF token is needed."""

    def authenticate(self, request: Request) -> tuple[None, ShopKey]:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        key = find_key(text.strip()) if scheme.lower() == "bearer" and text.strip() else None
        if key is None:
            guesses = _Guesses()
            if not guesses.take(client_address(request._request)):
                raise exceptions.Throttled(guesses.wait())
            raise Refused("key.invalid")
        return None, key


class KeyThrottle(Throttle):
    name, amount = "shop_key", 1_200

    def who(self, request: Request) -> str:
        key: Any = request.auth
        return str(key.id)


class ShopTicketsView(Api):
    authentication_classes = [KeyAuth]
    throttle_classes = [KeyThrottle]

    @operation("shop.ticket", answer=ExternalTicket, body=External, status=201, security="key")
    def post(self, request: Request, shop: str, body: External) -> ExternalTicket:
        """A pass for one socket of one of the shop's own users, who gets no more rights here than the key has."""
        key: Any = request.auth
        if find_shop(shop).id != key.shop_id:
            raise Refused("key.invalid")
        return ExternalTicket(*ticket_for(key, external_id=body.external_id, name=body.name))
