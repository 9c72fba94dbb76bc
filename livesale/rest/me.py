"""The person who asks: who they are, what they hold, a ticket for their next socket."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from rest_framework.request import Request

from livesale.accounts.identity import make_ticket
from livesale.accounts.models import User
from livesale.accounts.services import change_profile
from livesale.claims.selectors import panel
from livesale.rest.api import Api, operation
from livesale.rest.shops import ShopOfMine, shops_of
from livesale.rest.throttle import throttle


class Me(msgspec.Struct, frozen=True):
    """Who the server takes you for; `person` is null for a guest."""

    person: UUID | None
    name: str
    email: str
    language: str
    show_name_in_summaries: bool
    shops: list[ShopOfMine]


class ChangeMe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a person may change about themselves. What is left out stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)] | None = None
    language: Annotated[str, msgspec.Meta(max_length=12)] | None = None
    show_name_in_summaries: bool | None = None


class PanelAnswer(msgspec.Struct, frozen=True):
    """Everything that this person holds, waits for and has ordered."""

    orders: list[dict[str, Any]]


class TicketAnswer(msgspec.Struct, frozen=True):
    """A single-use pass for one socket, valid for 30 seconds."""

    ticket: str


def _me(user: User | None) -> Me:
    if user is None:
        return Me(None, "", "", "", False, [])
    shops = shops_of(user.id)
    return Me(user.id, user.name, user.email, user.language, user.show_name_in_summaries, shops)


class MeView(Api):
    @operation("me", answer=Me, guests=True)
    def get(self, request: Request) -> Me:
        """Who you are here."""
        return _me(request.user if isinstance(request.user, User) else None)

    @operation("me.change", answer=Me, body=ChangeMe)
    def patch(self, request: Request, body: ChangeMe) -> Me:
        """Change your name, your language, or whether a room may hear your name."""
        return _me(
            change_profile(
                self.require_person(),
                name=body.name,
                language=body.language,
                show_name_in_summaries=body.show_name_in_summaries,
            )
        )


class PanelView(Api):
    @operation("me.panel", answer=PanelAnswer)
    def get(self, request: Request) -> dict[str, Any]:
        """What you hold, wait for and have ordered, over all rooms and shops."""
        return panel(self.require_person())


class TicketView(Api):
    throttle_classes = [throttle("ticket", 60)]

    @operation("me.ticket", answer=TicketAnswer, status=201)
    def post(self, request: Request) -> TicketAnswer:
        """A pass for one socket that cannot send the cookie; signing out here closes that socket.

        From a page, it works from that page's origin only.
        """
        session = request._request.session.session_key or ""
        origin = request.headers.get("Origin", "")
        return TicketAnswer(make_ticket(self.require_person(), origin=origin, session=session))
