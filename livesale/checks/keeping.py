"""How long things are kept: what is needed longest outlives the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from chat.log.transaction import RECEIPT_RETENTION
from livesale.checks.rule import error, rule
from livesale.personal import ledger


@rule()
def days_are_days() -> Iterator[CheckMessage]:
    names = ("KEEP_LOG_DAYS", "KEEP_CONTACTS_DAYS", "KEEP_RECEIPTS_DAYS", "ERASURE_GRACE_DAYS")
    negative = [name for name in names if getattr(settings, name) < 0]
    if negative:
        yield error(23, f"{', '.join(negative)}: there are no days below 0.", "Set 0 or more.")


@rule()
def receipts_outlive_the_ids() -> Iterator[CheckMessage]:
    accepted = RECEIPT_RETENTION.days
    if 0 <= settings.KEEP_RECEIPTS_DAYS < accepted:
        yield error(
            24,
            f"KEEP_RECEIPTS_DAYS is {settings.KEEP_RECEIPTS_DAYS}, and ids are taken until they are {accepted} days "
            "old: a command that is sent again after its receipt is gone would be carried out twice.",
            f"Set it to {accepted} or more.",
        )


@rule()
def the_log_outlives_the_receipts() -> Iterator[CheckMessage]:
    if 0 < settings.KEEP_LOG_DAYS < settings.KEEP_RECEIPTS_DAYS:
        yield error(
            25,
            f"KEEP_LOG_DAYS is {settings.KEEP_LOG_DAYS} and KEEP_RECEIPTS_DAYS is {settings.KEEP_RECEIPTS_DAYS}: "
            "whoever sends a message again would be answered with one that is gone.",
            "Keep the log at least as long as receipts; 0 keeps it for ever.",
        )


@rule()
def the_list_of_the_erased_is_ours() -> Iterator[CheckMessage]:
    # a warning: nobody is erased and no backup ends well until it is mended, but people may go on ordering
    if not ledger.is_ours(Path(settings.ERASURES_FILE)):
        yield Warning(
            f"{settings.ERASURES_FILE} {ledger.NOT_OURS}",
            hint="Run commands with livesale-manage, never as root. The units may write below /var/lib/livesale only: "
            "elsewhere they need ReadWritePaths=.",
            id="livesale.W026",
        )
