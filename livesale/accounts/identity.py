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
from django.core import signing
from django.utils.crypto import constant_time_compare
from django.utils.timezone import now as wall_clock

from chat.log import clock
from chat.realtime.identity import Identity
from livesale.accounts.models import Ticket, User

TICKET_LIFE = timedelta(seconds=30)
RESUME_LIFE = timedelta(minutes=10)
_RESUME_SALT = "livesale.resume"


def make_ticket(person_id: UUID, *, origin: str = "") -> str:
    """A ticket for one socket of one person, valid for 30 seconds; bound to a page's origin when one is given."""
    ticket = secrets.token_urlsafe(24)
    now = clock.now()
    Ticket.objects.filter(expires_at__lt=now).delete()
    Ticket.objects.create(
        digest=Ticket.digest_of(ticket), person_id=person_id, origin=origin, expires_at=now + TICKET_LIFE
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


def _claim(token: str) -> tuple[UUID, int, str] | None:
    """Whom a resume token was made for (person, version of their sign-ins, session), if it is ours and young."""
    try:
        # not Django's own time limit: it goes by each machine's clock, and tokens go from one to another
        data = signing.loads(token, salt=_RESUME_SALT)
        if clock.told_ms() - int(data[3]) > RESUME_LIFE / timedelta(milliseconds=1):
            return None
        return UUID(data[0]), int(data[1]), str(data[2])
    except (signing.BadSignature, ValueError, TypeError, IndexError, KeyError):
        return None


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
        user = User.objects.filter(id=row.person_id, is_active=True).first()
        return _identity(user) if user is not None else None

    def from_resume_tokens(self, tokens: Sequence[str]) -> list[Identity | None]:
        claims = {token: _claim(token) for token in tokens}
        said = [claim for claim in claims.values() if claim is not None]
        users = _users(str(person_id) for person_id, _, _ in said)
        sessions = set(
            Session.objects.filter(session_key__in={s for _, _, s in said if s}).values_list(
                "session_key", flat=True
            )
        )
        found: list[Identity | None] = []
        for token in tokens:
            person_id, version, session = claims[token] or (None, 0, "")
            user = users.get(str(person_id))
            stands = user is not None and user.auth_version == version
            if session and session not in sessions:
                stands = False
            found.append(_identity(user, session) if user is not None and stands else None)
        return found

    def resume_token(self, identity: Identity) -> str:
        made = [identity.person_id.hex, identity.version, identity.session, clock.told_ms()]
        return signing.dumps(made, salt=_RESUME_SALT)

    def still_valid(self, identities: Sequence[Identity]) -> set[Identity]:
        versions = dict(
            User.objects.filter(id__in={i.person_id for i in identities}, is_active=True).values_list(
                "id", "auth_version"
            )
        )
        sessions = set(
            Session.objects.filter(
                session_key__in={i.session for i in identities if i.session}, expire_date__gt=wall_clock()
            ).values_list("session_key", flat=True)
        )
        return {
            i
            for i in identities
            if versions.get(i.person_id) == i.version and (not i.session or i.session in sessions)
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
