"""Where stock lives: pools, the ledger of their movements, the people who wait."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

# Hot tables name their neighbours without database constraints: a constraint would cost one trigger per row and
# neighbour inside the batch. `commerce.stock.verify` looks for what such a constraint would have refused.


class Pool(models.Model):
    """The narrow row that decides: ``free = stock - held - sold``. Several offers may draw on one pool.

    A pool with a ``parent`` is the allotment of a drop. Once it is closed it gives every free unit to its parent.
    ``version`` rises with each write, so a client can tell the newer of two counts.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    variant = models.ForeignKey("commerce.Variant", on_delete=models.PROTECT, related_name="pools")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    label = models.CharField(max_length=80, blank=True)
    stock = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    sold = models.BigIntegerField(default=0)
    waiting = models.BigIntegerField(default=0, help_text=_("People in the waiting list."))
    next_rank = models.BigIntegerField(default=1, help_text=_("Rank of the next person who waits."))
    version = models.BigIntegerField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(stock__gte=0), name="pool_stock_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="pool_held_not_negative"),
            models.CheckConstraint(condition=Q(sold__gte=0), name="pool_sold_not_negative"),
            models.CheckConstraint(condition=Q(waiting__gte=0), name="pool_waiting_not_negative"),
            models.CheckConstraint(condition=Q(stock__gte=F("held") + F("sold")), name="pool_never_oversold"),
        ]

    def __str__(self) -> str:
        return self.label or str(self.id)

    @property
    def free(self) -> int:
        return self.stock - self.held - self.sold


class Movement(models.Model):
    """One line of the append-only stock ledger. The sums over a pool equal its counters at every commit."""

    class Kind(models.TextChoices):
        RECEIVE = "receive", _("received")
        ADJUST = "adjust", _("adjusted")
        TRANSFER = "transfer", _("transferred")
        HOLD = "hold", _("held")
        RELEASE = "release", _("released")
        SELL = "sell", _("sold")
        UNSELL = "unsell", _("returned")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    pool = models.ForeignKey(
        Pool, on_delete=models.PROTECT, related_name="movements", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    d_stock = models.BigIntegerField(default=0, db_default=0)
    d_held = models.BigIntegerField(default=0, db_default=0)
    d_sold = models.BigIntegerField(default=0, db_default=0)
    line_id = models.UUIDField(null=True, blank=True)
    actor_id = models.UUIDField(
        null=True, blank=True, help_text=_("Who did it; empty where time or a rule did.")
    )
    reason = models.CharField(max_length=40, blank=True, default="", db_default="")
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["pool", "id"], name="movement_pool")]

    def __str__(self) -> str:
        return f"{self.kind} {self.d_stock:+} {self.d_held:+} {self.d_sold:+}"


class Waiting(models.Model):
    """A place in the waiting list of a pool. While it waits, ``order_id`` always names an open basket."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        OFFERED = "offered", _("your turn")
        TAKEN = "taken", _("bought")
        PASSED = "passed", _("passed on")
        GONE = "gone", _("gone")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(
        "commerce.Shop", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    pool = models.ForeignKey(
        Pool, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    offer_id = models.UUIDField()
    order_id = models.UUIDField()
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    placed_by_id = models.UUIDField(help_text=_("Who asked for it: the buyer, or staff on their behalf."))
    qty = models.PositiveIntegerField()
    rank = models.BigIntegerField(help_text=_("First in, first out within a pool."))
    state = models.CharField(
        max_length=8, choices=State.choices, default=State.WAITING, db_default=State.WAITING
    )
    line_id = models.UUIDField(
        null=True, blank=True, help_text=_("The line that was held when the turn came.")
    )
    terms = models.JSONField(default=dict, help_text=_("The terms of the claim, as they were promised."))
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["pool", "rank"], condition=Q(state="waiting"), name="waiting_queue"),
            models.Index(fields=["buyer", "shop"], condition=Q(state="waiting"), name="waiting_buyer"),
            models.Index(fields=["order_id"], condition=Q(state="waiting"), name="waiting_order"),
            models.Index(fields=["line_id"], condition=Q(state="offered"), name="waiting_line"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(qty__gte=1), name="waiting_qty_positive"),
            models.UniqueConstraint(
                fields=["pool", "rank"], condition=Q(state="waiting"), name="waiting_rank_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.qty} × {self.offer_id} ({self.state})"
