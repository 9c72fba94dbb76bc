"""When each chore was last done, so that one process does it and the others need not."""

from __future__ import annotations

from django.db import models


class Chore(models.Model):
    """A regular chore: when it was last finished, and where its next round begins."""

    name = models.CharField(max_length=40, primary_key=True)
    done_at = models.DateTimeField(null=True)
    after = models.UUIDField(null=True)

    class Meta:
        db_table = "chore"

    def __str__(self) -> str:
        return self.name
