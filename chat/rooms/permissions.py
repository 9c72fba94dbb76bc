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
_HOST = _MODERATOR | {"sale.run", "offer.edit", "order.manage", "claim.for_others", "invite.create"}
_OWNER = _HOST | {"room.configure", "room.archive", "member.appoint", "member.ban_everywhere"}

PERMISSIONS: dict[str, frozenset[str]] = {
    "owner": frozenset(_OWNER),
    "host": frozenset(_HOST),
    "moderator": frozenset(_MODERATOR),
    "member": frozenset(_MEMBER),
    GUEST: frozenset(),
}

STAFF_ROLES = frozenset({"owner", "host", "moderator"})


def may(role: str, permission: str) -> bool:
    """Whether a role has a permission."""
    return permission in PERMISSIONS.get(role, frozenset())


def outranks(actor: str, target: str) -> bool:
    """Whether somebody with role `actor` may act against somebody with role `target`."""
    return RANK.get(actor, 0) > RANK.get(target, 0)
