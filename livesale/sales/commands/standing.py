"""What every command of a sale needs: the actor's standing, the sale, the audit."""

from __future__ import annotations

from collections.abc import Sequence

from chat.log.batch import Batch, Request
from chat.log.registry import Handler
from chat.moderation.audit import Audit
from chat.rooms.book import RoomBook
from livesale.sales.book import SaleBook


class InSale(Handler):
    """What the commands of a sale share: standing, sale, audit."""

    permission = "offer.edit"

    def declare(self, batch: Batch, requests: Sequence[Request]) -> None:
        rooms = batch.part(RoomBook)
        batch.part(Audit)
        batch.part(SaleBook).fetch([r.stream_id for r in requests])
        for r in requests:
            rooms.want(r.stream_id, [r.actor_id])

    def allowed(self, batch: Batch, request: Request) -> SaleBook:
        batch.part(RoomBook).require(request.stream_id, request.actor_id, self.permission)
        return batch.part(SaleBook)
