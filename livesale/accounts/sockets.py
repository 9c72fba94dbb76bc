"""A sign-in has ended: its sockets hear of it at once.

Every process also asks again every five seconds (`chat.realtime.server.RECHECK`), so nothing depends on this.
"""

from __future__ import annotations

from uuid import UUID

from asgiref.sync import async_to_sync


def judge_anew(person_id: UUID) -> None:
    """Have all processes check whether this person's sockets may stay; call it after what changed is committed."""
    from livesale.serving import server  # it is composed of us

    hub = server.hub_or_none
    if hub is None:
        return

    async def on_the_loop() -> None:
        # in a request's thread this runs where the hub lives: on the loop that the request came from
        hub.revoke(person_id)

    async_to_sync(on_the_loop)()
