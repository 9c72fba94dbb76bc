"""Who works for the shops of a batch, and what their role lets them do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from chat.log.batch import Batch, Part
from chat.log.errors import Refused
from chat.rooms.selectors import Roles
from commerce.shops.models import ShopStaff
from commerce.sql import any_of, ask

# What each role of the shop may do behind the counter; rooms have their own table.
PERMISSIONS: dict[str, frozenset[str]] = {
    "owner": frozenset(
        {"shop.configure", "staff.edit", "catalogue.edit", "order.manage", "order.pack", "room.create"}
    ),
    "manager": frozenset({"catalogue.edit", "order.manage", "order.pack", "room.create"}),
    "host": frozenset({"catalogue.edit", "order.manage", "order.pack", "room.create"}),
    "packer": frozenset({"order.pack"}),
}

# A shop's staff as roles in its rooms.
ROOM_ROLES = {"owner": "owner", "manager": "host", "host": "host", "packer": "moderator"}
# Those who may open rooms for the shop, and run them.
ROOM_RUNNERS = frozenset(role for role, permissions in PERMISSIONS.items() if "room.create" in permissions)


def ask_tenant_roles(tenants: Iterable[UUID], people: Iterable[UUID]) -> Callable[[], Roles]:
    """The answer to `chat.rooms.selectors.use_tenant_roles`: the roles that a shop's staff have in its rooms."""
    shops, shop_ids = any_of("shop_id", tenants)
    persons, person_ids = any_of("person_id", people)
    sql = f"SELECT shop_id, person_id, role FROM commerce_shopstaff WHERE {shops} AND {persons}"  # noqa: S608 - names of ours, values are parameters
    rows = ask(sql, [shop_ids, person_ids], "uus")
    return lambda: {(shop_id, person_id): ROOM_ROLES[role] for shop_id, person_id, role in rows()}


class Staff(Part):
    rank: ClassVar[int] = 12

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._people: set[UUID] = set()
        self._roles: dict[tuple[UUID, UUID], str] = {}

    def want(self, person_id: UUID) -> None:
        self._people.add(person_id)

    def load(self, now: datetime) -> None:
        if not self._people:
            return
        shops = {h.tenant_id for h in self.batch.heads.values() if h.tenant_id is not None}
        rows = ShopStaff.objects.filter(shop_id__in=shops, person_id__in=self._people)
        self._roles = {(s, p): role for s, p, role in rows.values_list("shop_id", "person_id", "role")}

    def role(self, shop_id: UUID, person_id: UUID) -> str | None:
        return self._roles.get((shop_id, person_id))

    def require(self, shop_id: UUID, person_id: UUID, permission: str) -> str:
        """The person's role, if it has the permission. Raises `permission.denied`."""
        role = self.role(shop_id, person_id)
        if role is None or not self.may(shop_id, person_id, permission):
            raise Refused("permission.denied")
        return role

    def may(self, shop_id: UUID, person_id: UUID, permission: str) -> bool:
        """Whether the person works for the shop in a role that has the permission."""
        role = self.role(shop_id, person_id)
        return role is not None and permission in PERMISSIONS[role]

    def shop_of(self, stream_id: UUID) -> UUID:
        """The shop whose data this stream is. Raises `stream.wrong_kind` for a stream without one."""
        shop_id = self.batch.heads[stream_id].tenant_id
        if shop_id is None:
            raise Refused("stream.wrong_kind")
        return shop_id
