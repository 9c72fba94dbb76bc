"""What a stream does when somebody is erased: texts and pins go, holds go to the next, everybody hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from chat.log.batch import SYSTEM, Batch, Request
from chat.log.models import Audience
from chat.log.registry import Handler, command
from chat.messages.book import MessageBook
from chat.moderation.commands import SanctionBook
from chat.rooms.book import RoomBook
from chat.rooms.departures import Departures
from commerce.shops.models import Shop
from livesale.claims.commands import let_go_of_everything
from livesale.claims.goods import Goods


class ForgetPerson(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Somebody is erased: let go of what they have here."""

    person: UUID


def name_of_nobody() -> str:
    """What stands where the name of an erased person stood; in the installation's language."""
    with translation.override(settings.LANGUAGE_CODE):
        return _("deleted person")


@command("person.forget", ForgetPerson, on=("room", "shop"), system=True)
class Forget(Handler):
    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        departures, messages, goods = batch.part(Departures), batch.part(MessageBook), batch.part(Goods)
        batch.part(SanctionBook)
        shops = {head.tenant_id for head in batch.heads.values() if head.tenant_id is not None}
        owners = dict(Shop.objects.filter(id__in=shops).values_list("id", "owner_id"))
        for r in requests:
            person_id = r.body.person
            if batch.heads[r.stream_id].kind == "shop":
                goods.orders.want_person(buyer=person_id, shop_id=r.stream_id)
            else:
                shop_id = batch.heads[r.stream_id].tenant_id
                departures.want(r.stream_id, person_id, tenant_owner=shop_id and owners.get(shop_id))
                messages.want_pins_of(r.stream_id, person_id)

    def decide(self, batch: Batch, request: Request) -> dict[str, Any]:
        assert request.actor_id == SYSTEM
        if batch.heads[request.stream_id].kind == "shop":
            let_go_of_everything(batch, request.stream_id, request.body.person, "person.forget")
        elif request.stream_id in batch.part(RoomBook).rooms:
            self._forget_in_room(batch, request.stream_id, request.body.person)
        return {}

    def _forget_in_room(self, batch: Batch, room_id: UUID, person_id: UUID) -> None:
        rooms, told = batch.part(RoomBook), {"person": str(person_id)}
        room, standing = rooms.room(room_id), rooms.standing(room_id, person_id)
        unpinned = batch.part(MessageBook).clear(room_id, person_id)
        batch.emit(room_id, "member.cleared", told)
        for message_id in unpinned:
            batch.emit(room_id, "message.unpinned", {"message": str(message_id)})
        if room.owner_id == person_id:
            self._hand_over(batch, room_id, person_id)
        if standing.member:
            rooms.leave(room_id, person_id)
            batch.emit(room_id, "member.left", told)
        batch.part(SanctionBook).lift(tenant_id=room.tenant_id, room_id=room_id, person_id=person_id)
        batch.part(SanctionBook).lift(tenant_id=room.tenant_id, room_id=None, person_id=person_id)
        for everywhere, laid in (
            (False, standing.banned or standing.hidden or standing.muted_until is not None),
            (True, standing.banned_everywhere),
        ):
            if laid:
                body = {**told, "everywhere": everywhere}
                batch.emit(room_id, "member.unbanned", body, audience=Audience.STAFF)

    def _hand_over(self, batch: Batch, room_id: UUID, person_id: UUID) -> None:
        following = batch.part(Departures).hand_over(room_id, person_id, name=name_of_nobody())
        if following is None:
            batch.emit(room_id, "room.changed", {"id": str(room_id)})
        else:
            batch.emit(room_id, "member.appointed", {"person": str(following), "role": "owner"})
