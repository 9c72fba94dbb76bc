"""A claim as a careful Django developer writes it: one transaction, `select_for_update`, ORM rows.

It keeps every promise that ours keeps (nothing oversold, limits, receipts, a gap-free log, a promise to look when the
hold is over) and writes the same tables; the answer is the same. Where it could be read either way it is given the
easier work: one event per claim, where a batch of one of ours writes three; no hold lapses and nobody comes to wait
while it runs.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from chat.log.models import Receipt, StreamHead
from commerce.stock.models import Pool
from tests.bench.orders import rows
from tests.bench.orders.rows import Refused


def place_claim(room_id: UUID, person_id: UUID, client_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Carry out `claim.place` and return its answer."""
    with transaction.atomic():
        head = StreamHead.objects.select_for_update(of=("self",)).get(stream_id=room_id)
        receipt = Receipt.objects.filter(client_id=client_id, actor_id=person_id).first()
        if receipt is not None:
            found: dict[str, Any] = receipt.answer
            return found
        claim = rows.read(room_id, person_id, client_id, body, timezone.now())
        pool = Pool.objects.select_for_update(of=("self",)).get(id=claim.offer.pool_id)
        got = 0 if pool.waiting else min(claim.qty, pool.free)
        if got == 0 and pool.waiting >= claim.offer.waitlist_now:
            raise Refused("claim.sold_out")
        rows.check_limits(claim)
        if got < claim.qty:
            raise NotImplementedError("nobody comes to wait in this benchmark")
        line = rows.write_goods(claim, got)
        pool.held += got
        pool.version += 1
        pool.save(update_fields=["held", "version"])
        head.seq += 1
        head.save(update_fields=["seq"])
        return rows.write_log(claim, line, head.seq)
