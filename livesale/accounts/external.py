"""What a shop's key may do: get its own users in, and never as somebody who may do more than the key."""

from __future__ import annotations

from uuid import UUID

from chat.log.errors import Refused
from chat.rooms.models import Membership, RoomKind
from chat.rooms.permissions import STAFF_ROLES
from commerce.shops.models import Role, ShopKey, ShopStaff
from livesale.accounts.identity import by_shop_key, make_ticket
from livesale.accounts.models import User
from livesale.accounts.services import clean_name, external_person

# What the shop's roles are worth, and which of them a role in one of its rooms is worth.
_RANK = {Role.OWNER: 4, Role.MANAGER: 3, Role.HOST: 2, Role.PACKER: 1}
_IN_ROOM = {"owner": 3, "host": 2, "moderator": 1}


def ticket_for(key: ShopKey, *, external_id: str, name: str) -> tuple[str, UUID]:
    """A ticket for a shop's own user, and who that is here. A socket that it opens ends when the key is revoked.

    Raises `key.above_ceiling`, `auth.failed`.
    """
    person = external_person(shop_id=key.shop_id, external_id=external_id, name=clean_name(name))
    if not person.is_active:
        raise Refused("auth.failed")
    if not _within(key, person):
        raise Refused("key.above_ceiling")
    return make_ticket(person.id, session=by_shop_key(key.id)), person.id


def _within(key: ShopKey, person: User) -> bool:
    """Whether the person may do nothing that the key may not: here no more than its role, elsewhere nothing special."""
    if person.is_staff or person.is_superuser:
        return False
    ceiling = _RANK[Role(key.ceiling)]
    for shop_id, role in ShopStaff.objects.filter(person=person).values_list("shop_id", "role"):
        if shop_id != key.shop_id or _RANK[Role(role)] > ceiling:
            return False
    ranks = Membership.objects.filter(person=person, role__in=STAFF_ROLES).values_list(
        "tenant_id", "room__kind", "role"
    )
    # a group of one's own in the key's shop lends nothing of the shop
    return all(
        tenant == key.shop_id and (kind == RoomKind.GROUP or _IN_ROOM[role] <= ceiling)
        for tenant, kind, role in ranks
    )
