"""Tables of the log. Hot rows are narrow, and nothing has a foreign key to a log row."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from uuid_utils.compat import uuid7


class WrittenJSON(models.JSONField):
    """JSON that is kept as it was written.

    PostgreSQL's `jsonb` takes every value apart to answer questions about its inside, which nobody asks of a log; that
    costs an insert as much as all the rest of the row.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        # the driver reads `json` by itself
        return super().from_db_value(value, expression, connection) if isinstance(value, str) else value


class Audience(models.IntegerChoices):
    """Who may see an event. `chat.log.visibility` is the one place that interprets it."""

    PUBLIC = 0, "everyone in the stream"
    STAFF = 1, "the stream's staff"
    PERSON = 2, "one person, on all devices"
    AUTHOR = 3, "its author and the staff"


class Stream(models.Model):
    """What has a log: a room, a direct conversation or a shop."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=12)
    tenant_id = models.UUIDField(null=True, help_text="The shop whose data this is.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "stream"
        indexes = [models.Index(fields=["tenant_id", "kind"], name="stream_tenant")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class StreamHead(models.Model):
    """The lock of a stream and its counters, alone in a narrow row.

    `seq` is the last number given, `floor` the last one pruned; `epoch` changes only when a backup was restored.
    """

    stream = models.OneToOneField(Stream, primary_key=True, on_delete=models.CASCADE, related_name="head")
    seq = models.BigIntegerField(default=0)
    floor = models.BigIntegerField(default=0)
    epoch = models.IntegerField(default=1)

    class Meta:
        db_table = "stream_head"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(floor__gte=0) & models.Q(seq__gte=models.F("floor")),
                name="head_floor_below_seq",
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}@{self.seq}"


class Event(models.Model):
    """What happened, in order: ids and public facts only, never free text or personal data."""

    pk = models.CompositePrimaryKey("stream_id", "seq")
    stream_id = models.UUIDField()
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    audience = models.SmallIntegerField(choices=Audience.choices)
    person_id = models.UUIDField(null=True, help_text="Whom PERSON means, who wrote for AUTHOR.")
    body = WrittenJSON()
    at = models.DateTimeField()

    class Meta:
        db_table = "event"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(audience__in=[0, 1]) | models.Q(person_id__isnull=False),
                name="event_person_named",
            )
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.seq} {self.kind}"


class Receipt(models.Model):
    """The stored answer to (client id, actor): a repeated command gets it again, whatever has happened since.

    `fingerprint` is a digest of stream, name and body: the same id with another payload is refused.
    """

    pk = models.CompositePrimaryKey("client_id", "actor_id")
    client_id = models.UUIDField()
    actor_id = models.UUIDField()
    stream_id = models.UUIDField()
    fingerprint = models.CharField(max_length=32)
    answer = WrittenJSON()
    at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "receipt"

    def __str__(self) -> str:
        return f"{self.actor_id}/{self.client_id}"


class Outbox(models.Model):
    """Work that a committed transaction has promised: a command for another stream, a command for later, an effect.

    `at` is the earliest moment; the id is deterministic, so that the same promise made twice is one row. A command
    row is deleted in the transaction that executes it; an effect row when its call has succeeded.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    stream_id = models.UUIDField(null=True, help_text="Home stream of a command; empty for an effect.")
    name = models.CharField(max_length=40)
    payload = models.JSONField()
    at = models.DateTimeField(db_index=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    failed = models.BooleanField(
        default=False, help_text="Given up after the last attempt; kept for people to see."
    )

    class Meta:
        db_table = "outbox"

    def __str__(self) -> str:
        return f"{self.name} {self.id}"
