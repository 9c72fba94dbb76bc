"""Writers of payments beside the orders: attempts that came to nothing."""

from __future__ import annotations

from datetime import datetime

from commerce.payments.models import Attempt


def drop_old_attempts(*, before: datetime, most: int) -> int:
    """Delete attempts from before a moment that brought no money and of which no gateway has said anything."""
    old = Attempt.objects.filter(
        state__in=["failed", "cancelled", "expired"],
        created_at__lt=before,
        flagged=False,
        events__isnull=True,
        refunds__isnull=True,
    )
    ids = list(old.order_by("id").values_list("id", flat=True)[:most])
    return Attempt.objects.filter(id__in=ids).delete()[0] if ids else 0
