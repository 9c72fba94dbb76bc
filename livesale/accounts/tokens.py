"""Resume tokens: with which a socket that was lost is opened again, for some minutes, on any process."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.core import signing
from django.utils.crypto import salted_hmac

from chat.log import clock
from chat.realtime.identity import Identity

LIFE = timedelta(minutes=10)
_SALT = "livesale.resume"
_NONCE = 16


class Claim(NamedTuple):
    """Whom a token was made for: the person, the version of their sign-ins, what the socket lived by."""

    person_id: UUID
    version: int
    session: str


def write(identity: Identity) -> str:
    """A signed token of this identity."""
    made = [identity.person_id.hex, identity.version, _veiled(identity.session), clock.told_ms()]
    return signing.dumps(made, salt=_SALT)


def read(token: str) -> Claim | None:
    """What a token says, if it is ours and young."""
    try:
        # not Django's own time limit: it goes by each machine's clock, and tokens go from one to another
        data = signing.loads(token, salt=_SALT)
        if clock.told_ms() - int(data[3]) > LIFE / timedelta(milliseconds=1):
            return None
        return Claim(UUID(data[0]), int(data[1]), _unveiled(str(data[2])))
    except (signing.BadSignature, ValueError, TypeError, IndexError, KeyError):
        return None


# A signed token can be read by whoever holds it, scripts of a page among them, and a session's key is a whole sign-in:
# the browser keeps the cookie from scripts, so the token must not tell it either.


def _veiled(session: str) -> str:
    if not session:
        return ""
    nonce = secrets.token_bytes(_NONCE)
    return base64.urlsafe_b64encode(nonce + _masked(session.encode(), nonce)).decode()


def _unveiled(text: str) -> str:
    if not text:
        return ""
    data = base64.urlsafe_b64decode(text)
    return _masked(data[_NONCE:], data[:_NONCE]).decode()


def _masked(data: bytes, nonce: bytes) -> bytes:
    """Both ways: each byte against one that only we can compute, and that no other token has."""
    mask = salted_hmac("livesale.resume.session", nonce, algorithm="sha512").digest()
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
