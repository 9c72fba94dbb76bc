"""What each role may do. One table; the commands ask it, the pages show it."""

from __future__ import annotations

GUEST = "guest"

RANK = {"owner": 4, "host": 3, "moderator": 2, "member": 1, GUEST: 0}

_MEMBER = {"message.send", "message.report", "member.leave", "claim.place", "message.delete_own"}
_MODERATOR = _MEMBER | {
    "message.delete",
    "message.pin",
    "room.announce",
    "room.slow",
    "member.timeout",
    "member.ban",
    "member.clear",
    "room.see_staff",
}
_HOST = _MODERATOR | {
    "sale.run",
    "offer.edit",
    "order.manage",
    "claim.for_others",
    "invite.create",
    "room.open",
}
_OWNER = _HOST | {
    "room.configure",
    "room.archive",
    "member.appoint",
    "member.ban_everywhere",
}

# What belongs to the tenant and is lent with a role in a room that sells: goods and orders. Elsewhere, as in a group
# that a customer has opened, nobody has it but those who work for the tenant.
LENT_WHERE_IT_SELLS = frozenset({"sale.run", "offer.edit", "order.manage", "claim.for_others"})
# What reaches beyond the room, and is lent with no role in one.
NEVER_LENT = frozenset({"member.ban_everywhere", "room.open"})

PERMISSIONS: dict[str, frozenset[str]] = {
    "owner": frozenset(_OWNER),
    "host": frozenset(_HOST),
    "moderator": frozenset(_MODERATOR),
    "member": frozenset(_MEMBER),
    GUEST: frozenset(),
}

STAFF_ROLES = frozenset({"owner", "host", "moderator"})


def may(role: str, permission: str, *, tenant_role: str = GUEST, sells: bool = True) -> bool:
    """Whether a role has a permission, in a room that `sells` or not.

    `tenant_role` is the role that somebody has in all rooms because they work for the tenant.
    """
    if permission in NEVER_LENT or (permission in LENT_WHERE_IT_SELLS and not sells):
        role = tenant_role
    return permission in PERMISSIONS.get(role, frozenset())
