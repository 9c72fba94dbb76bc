"""Nobody is let in by a shop's key as somebody who may do more than the key."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from chat.rooms.models import Membership, RoomKind
from chat.rooms.permissions import STAFF_ROLES
from commerce.shops.models import Role, ShopKey, ShopStaff
from livesale.accounts.models import User

# What the shop's roles are worth, and which of them a role in one of its rooms is worth.
_RANK = {Role.OWNER: 4, Role.MANAGER: 3, Role.HOST: 2, Role.PACKER: 1}
_IN_ROOM = {"owner": 3, "host": 2, "moderator": 1}


def within(pairs: Collection[tuple[ShopKey, UUID]]) -> set[tuple[UUID, UUID]]:
    """Of pairs of a key and a person: those in which the person may do nothing that the key may not.

    In the key's shop that is no more than its role, elsewhere nothing special. Ids of key and person are returned.
    """
    people = {person_id for _, person_id in pairs}
    operators = set(
        User.objects.filter(Q(is_staff=True) | Q(is_superuser=True), id__in=people).values_list(
            "id", flat=True
        )
    )
    ranks: dict[UUID, list[tuple[UUID, int]]] = {}
    for person_id, shop_id, role in ShopStaff.objects.filter(person__in=people).values_list(
        "person_id", "shop_id", "role"
    ):
        ranks.setdefault(person_id, []).append((shop_id, _RANK[Role(role)]))
    memberships = Membership.objects.filter(person__in=people, role__in=STAFF_ROLES)
    for person_id, tenant_id, kind, is_open, role in memberships.values_list(
        "person_id", "tenant_id", "room__kind", "room__open", "role"
    ):
        # a closed group, as customers open them, lends nothing of its shop; but it has to be this shop's
        rank = 0 if kind == RoomKind.GROUP and not is_open else _IN_ROOM[role]
        ranks.setdefault(person_id, []).append((tenant_id, rank))
    return {
        (key.id, person_id)
        for key, person_id in pairs
        if person_id not in operators
        and all(
            shop_id == key.shop_id and rank <= _RANK[Role(key.ceiling)]
            for shop_id, rank in ranks.get(person_id, ())
        )
    }
