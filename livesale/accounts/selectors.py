"""Reads of people for the other subjects."""

from __future__ import annotations

from allauth.account.models import EmailAddress

from livesale.accounts.models import User


def owner_of_address(address: str) -> User | None:
    """The active person who has confirmed that this address is theirs.

    An account's own address does not count: anybody can sign up with anybody's.
    """
    confirmed = EmailAddress.objects.filter(email=address.strip().lower(), verified=True)
    found = confirmed.filter(user__is_active=True).select_related("user").first()
    return found.user if found is not None else None
