"""Who is on the other end of a socket: by session cookie, single-use ticket or resume token."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils.crypto import constant_time_compare
from django.utils.timezone import now as wall_clock

from chat.log import clock
from chat.realtime.identity import Identity
from commerce.shops.models import ShopKey
from livesale.accounts.ceilings import within
from livesale.accounts.models import Ticket, User
from livesale.accounts.tokens import read, write

TICKET_LIFE = timedelta(seconds=30)
_BY_KEY = "key:"


def make_ticket(person_id: UUID, *, origin: str = "", session: str = "") -> str:
    """A ticket for one socket of one person, valid for 30 seconds; bound to a page's origin when one is given.

    The socket ends with `session`: the key of a session, or `by_shop_key`.
    """
    ticket = secrets.token_urlsafe(24)
    now = clock.now()
    Ticket.objects.filter(expires_at__lt=now).delete()
    Ticket.objects.create(
        digest=Ticket.digest_of(ticket),
        person_id=person_id,
        origin=origin,
        session=session,
        expires_at=now + TICKET_LIFE,
    )
    return ticket


def _identity(user: User, session: str = "") -> Identity:
    return Identity(user.id, user.name, user.auth_version, session, user.language)


def _users(ids: Iterable[Any]) -> dict[str, User]:
    """The active ones of these users, by their id as text."""
    wanted = set()
    for id_ in ids:
        try:
            wanted.add(UUID(str(id_)))
        except ValueError:
            continue
    return {str(user.id): user for user in User.objects.filter(id__in=wanted, is_active=True)}


def by_shop_key(key_id: UUID) -> str:
    """What a socket lives by whose ticket a shop's key has asked for. No session has a key like this."""
    return f"{_BY_KEY}{key_id.hex}"


def _standing(opened: Iterable[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
    """Of sessions and who is in by them: those that have neither ended nor been revoked nor become too little."""
    wanted = {(session, person_id) for session, person_id in opened if session}
    by_key = {(session, person_id) for session, person_id in wanted if session.startswith(_BY_KEY)}
    sessions = {session for session, _ in wanted - by_key}
    rows = Session.objects.filter(session_key__in=sessions, expire_date__gt=wall_clock())
    live = set(rows.values_list("session_key", flat=True))
    found = {(session, person_id) for session, person_id in wanted if session in live}
    if by_key:
        ids = {UUID(session.removeprefix(_BY_KEY)) for session, _ in by_key}
        keys = {
            by_shop_key(key.id): key for key in ShopKey.objects.filter(id__in=ids, revoked_at__isnull=True)
        }
        pairs = [(keys[session], person_id) for session, person_id in by_key if session in keys]
        found |= {(by_shop_key(key_id), person_id) for key_id, person_id in within(pairs)}
    return found


class ProjectIdentities:
    """The project's answers to `chat.realtime.identity.Identities`."""

    def from_sessions(self, session_keys: Sequence[str]) -> list[Identity | None]:
        rows = Session.objects.filter(session_key__in=set(session_keys), expire_date__gt=wall_clock())
        data = {row.session_key: row.get_decoded() for row in rows}
        users = _users(content.get(SESSION_KEY) for content in data.values())
        return [self._signed_in(key, data.get(key, {}), users) for key in session_keys]

    @staticmethod
    def _signed_in(session_key: str, data: dict[str, Any], users: dict[str, User]) -> Identity | None:
        user = users.get(str(data.get(SESSION_KEY)))
        if user is None or BACKEND_SESSION_KEY not in data:
            return None
        if not constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
            return None
        return _identity(user, session_key)

    def from_ticket(self, ticket: str, origin: str) -> Identity | None:
        now = clock.now()
        row = Ticket.objects.filter(digest=Ticket.digest_of(ticket)).first()
        # whoever deletes the row has used the ticket; two at once cannot both
        if row is None or Ticket.objects.filter(digest=row.digest).delete()[0] == 0:
            return None
        if row.expires_at <= now or (row.origin and row.origin != origin):
            return None
        if row.session and not row.session.startswith(_BY_KEY):
            # worth what the browser's cookie is worth now, not what it was worth when it asked
            found = self.from_sessions([row.session])[0]
            return found if found is not None and found.person_id == row.person_id else None
        if row.session and not _standing([(row.session, row.person_id)]):
            return None
        user = User.objects.filter(id=row.person_id, is_active=True).first()
        return _identity(user, row.session) if user is not None else None

    def from_resume_tokens(self, tokens: Sequence[str]) -> list[Identity | None]:
        claims = {token: read(token) for token in tokens}
        said = [claim for claim in claims.values() if claim is not None]
        users = _users(claim.person_id for claim in said)
        standing = _standing((claim.session, claim.person_id) for claim in said)
        found: list[Identity | None] = []
        for token in tokens:
            claim = claims[token]
            user = users.get(str(claim.person_id)) if claim is not None else None
            if (
                claim is None
                or user is None
                or user.auth_version != claim.version
                or (claim.session and (claim.session, claim.person_id) not in standing)
            ):
                found.append(None)
            else:
                found.append(_identity(user, claim.session))
        return found

    def resume_token(self, identity: Identity) -> str:
        return write(identity)

    def still_valid(self, identities: Sequence[Identity]) -> set[Identity]:
        versions = dict(
            User.objects.filter(id__in={i.person_id for i in identities}, is_active=True).values_list(
                "id", "auth_version"
            )
        )
        standing = _standing((i.session, i.person_id) for i in identities)
        return {
            i
            for i in identities
            if versions.get(i.person_id) == i.version
            and (not i.session or (i.session, i.person_id) in standing)
        }


class OriginGuard:
    """Pages of this site only: their own host, or one of PUBLIC_ORIGINS. Scheme, host and port count."""

    def origin_allowed(self, origin: str, host: str, secure: bool) -> bool:
        allowed = {o.rstrip("/").lower() for o in settings.PUBLIC_ORIGINS}
        if origin.lower() in allowed:
            return True
        if allowed:
            return False
        try:
            parts = urlsplit(origin)
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        # without a list of origins: the page must come from the very host and port it calls
        scheme = "https" if secure else "http"
        return parts.scheme == scheme and parts.netloc.lower() == host.lower() and _known_host(name)


def _known_host(name: str) -> bool:
    return any(
        pattern in {"*", name}
        or (pattern.startswith(".") and name.endswith(pattern))
        or pattern == f"[{name}]"
        for pattern in settings.ALLOWED_HOSTS
    )
