"""Who asked to be forgotten, and who was."""

from __future__ import annotations

from django.db import models


class Erasure(models.Model):
    """A person's wish to be erased: until `due_at` they may think again, at `done_at` it was carried out.

    Names nobody: of an erased person nothing is left that says who they were.
    """

    person_id = models.UUIDField(primary_key=True, editable=False)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)
    done_at = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(
        null=True, help_text="Looked at once more, for what was on its way when it was carried out."
    )

    class Meta:
        db_table = "erasure"

    def __str__(self) -> str:
        return f"erasure of {self.person_id}"
