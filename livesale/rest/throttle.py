"""How often one person or one address may ask for what could be guessed or is dear to make."""

from __future__ import annotations

import hashlib
import time
from typing import Any, ClassVar
from uuid import UUID

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from livesale.accounts.address import client_address


class Throttle(BaseThrottle):
    """At most `amount` requests per `seconds` and person (guests: address), counted in fixed windows."""

    name: ClassVar[str]
    amount: ClassVar[int]
    seconds: ClassVar[int] = 60

    def who(self, request: Request) -> str:
        person: UUID | None = getattr(request.user, "id", None)
        return str(person or client_address(request._request))

    def allow_request(self, request: Request, view: Any) -> bool:
        return self.take(self.who(request))

    def take(self, who: str) -> bool:
        """Count one; False when it is one too many."""
        window = int(time.time()) // self.seconds
        digest = hashlib.sha256(who.encode()).hexdigest()[:32]
        key = f"throttle:{self.name}:{window}:{digest}"
        cache.add(key, 0, timeout=self.seconds)
        try:
            return int(cache.incr(key)) <= self.amount
        except ValueError:  # it expired in between: the window is over
            return True

    def wait(self) -> float:
        return self.seconds - time.time() % self.seconds


def throttle(name: str, amount: int, seconds: int = 60) -> type[Throttle]:
    """A throttle class for a view's `throttle_classes`."""
    return type(f"Throttle_{name}", (Throttle,), {"name": name, "amount": amount, "seconds": seconds})
