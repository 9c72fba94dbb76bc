"""Who is on the other end. The project supplies the answers; the wire only asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as of one moment. `version` rises when all their sessions end; `session` names the one in use."""

    person_id: UUID
    name: str
    version: int
    session: str = ""
    language: str = ""


class Identities(Protocol):
    """Blocking look-ups, called in reader threads."""

    def from_sessions(self, session_keys: Sequence[str]) -> list[Identity | None]:
        """The people signed in with these session cookies; the same number of queries for one and for many."""
        ...

    def from_ticket(self, ticket: str, origin: str) -> Identity | None:
        """The person a single-use ticket was made for; the ticket is used up."""
        ...

    def from_resume_tokens(self, tokens: Sequence[str]) -> list[Identity | None]:
        """The people these signed tokens were made for, where they are young enough; as few queries."""
        ...

    def resume_token(self, identity: Identity) -> str:
        """A signed token with which this identity may connect again."""
        ...

    def still_valid(self, identities: Sequence[Identity]) -> set[Identity]:
        """Those whose account, version and session still stand; one query for all."""
        ...


class RequestGuard(Protocol):
    """Which pages may open a socket with the visitor's cookie."""

    def origin_allowed(self, origin: str, host: str, secure: bool) -> bool: ...
