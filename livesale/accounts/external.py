"""What a shop's key may do: get its own users in, and never as somebody who may do more than the key."""

from __future__ import annotations

from uuid import UUID

from chat.log.errors import Refused
from commerce.shops.models import ShopKey
from livesale.accounts.ceilings import within
from livesale.accounts.identity import by_shop_key, make_ticket
from livesale.accounts.services import clean_name, external_person


def ticket_for(key: ShopKey, *, external_id: str, name: str) -> tuple[str, UUID]:
    """A ticket for a shop's own user, and who that is here. A socket that it opens ends when the key is revoked.

    Raises `key.above_ceiling`, `auth.failed`.
    """
    person = external_person(shop_id=key.shop_id, external_id=external_id, name=clean_name(name))
    if not person.is_active:
        raise Refused("auth.failed")
    if not within([(key, person.id)]):
        raise Refused("key.above_ceiling")
    return make_ticket(person.id, session=by_shop_key(key.id)), person.id
