"""Having somebody erased: asked for, thought over, carried out, and carried out again after a restore.

It is done in small steps, each harmless to repeat: whatever stops it half-way, the next round goes on. First the person
is shut out, so that nothing new comes; then every stream lets go of them and tells who watches; last their rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from chat.log import clock, store
from chat.log.batch import Promise
from chat.log.errors import Refused, describe
from chat.log.execute import execute
from chat.log.models import Outbox
from chat.messages.models import Message
from chat.messages.services import thin_out
from chat.moderation.models import Sanction
from chat.rooms.models import Membership, Room
from commerce.orders.models import Line
from commerce.orders.services import erase_free_contacts
from commerce.shops.models import Shop
from commerce.stock.models import Waiting
from livesale.accounts.models import Ticket, User
from livesale.personal import ledger
from livesale.personal.commands import name_of_nobody
from livesale.personal.models import Erasure
from livesale.personal.register import TABLES
from livesale.personal.rules import Ending

logger = logging.getLogger(__name__)

describe("person.owns_shop", "You own a shop. Hand it over or have it closed before you delete your account.")

# Texts, rows and sessions in one transaction.
SLICE = 500
# A socket that was open when its person was shut out is closed within seconds; what it had sent by then is erased in a
# second round.
SETTLED = timedelta(seconds=60)


# --- asking -------------------------------------------------------------------------------------------------------


def ask(person_id: UUID) -> Erasure:
    """A person wants to be erased: after some days, in which they may think again. They are told by mail.

    Raises `person.owns_shop`.
    """
    if Shop.objects.filter(owner_id=person_id).exists():
        raise Refused("person.owns_shop")
    now = clock.now()
    with transaction.atomic():
        erasure, new = Erasure.objects.get_or_create(
            person_id=person_id,
            defaults={"asked_at": now, "due_at": now + timedelta(days=settings.ERASURE_GRACE_DAYS)},
        )
        if new:
            mail = {"kind": "erasure.asked", "person": str(person_id)}
            store.write_promises([Promise(uuid7(), None, "personal.mail", mail, None)], now)
    return erasure


def asked(person_id: UUID) -> Erasure | None:
    """The wish of a person that was not carried out yet."""
    return Erasure.objects.filter(person_id=person_id, done_at__isnull=True).first()


def think_again(person_id: UUID) -> None:
    """The person stays."""
    Erasure.objects.filter(person_id=person_id, done_at__isnull=True).delete()


# --- carrying out -------------------------------------------------------------------------------------------------


def carry_out_due(most: int = 100) -> int:
    """Erase those whose time has come, and look once more at those who were erased a minute ago.

    Who has opened a shop meanwhile stays until it is handed over. Where a stream is too busy it is tried again later.
    """
    now = clock.now()
    due = Q(done_at__isnull=True, due_at__lte=now) | Q(swept_at__isnull=True, done_at__lte=now - SETTLED)
    owners = Q(done_at__isnull=True, person_id__in=Shop.objects.values("owner_id"))
    people = Erasure.objects.filter(due).exclude(owners).order_by("due_at")
    carried_out = 0
    for person_id, done_at in list(people.values_list("person_id", "done_at")[:most]):
        try:
            erase(person_id)
        except Refused as refusal:
            logger.warning("an erasure has to wait: %s", refusal.code)
            continue
        if done_at is not None:
            Erasure.objects.filter(person_id=person_id).update(swept_at=now)
        carried_out += 1
    return carried_out


def erase(person_id: UUID) -> None:
    """Take everything that is theirs out of the tables but what a law keeps; whoever watches hears of it.

    Whom orders went to may have to be kept for a while: `livesale.upkeep` lets it go.
    """
    now = clock.now()
    Erasure.objects.get_or_create(person_id=person_id, defaults={"asked_at": now, "due_at": now})
    # before anything is gone: if the database is lost in the middle, a restored one is told
    ledger.note(person_id, now)
    _shut_out(person_id)
    for stream_id in _streams(person_id):
        thin_out(stream_id, person_id, now=now, leave=SLICE, slice_=SLICE)
        # an id by the clock that judges it
        execute(stream_id, "person.forget", {"person": person_id}, client_id=uuid7(int(now.timestamp()), 0))
    erase_free_contacts(buyer=person_id, before=now - timedelta(days=settings.KEEP_CONTACTS_DAYS))
    Outbox.objects.filter(stream_id__isnull=True, payload__person=str(person_id)).delete()
    for table in TABLES.values():
        for part in table.parts:
            rows = table.rows(part, person_id)
            if table.ending is Ending.DROP:
                rows.delete()
            elif table.ending is Ending.BLANK:
                changes = table.emptied(part)
                for ids in _slices(rows.exclude(**changes).values_list("pk", flat=True)):
                    table.model._base_manager.filter(pk__in=ids).update(**changes)
    Erasure.objects.filter(person_id=person_id, done_at__isnull=True).update(done_at=now)


def _slices(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    found = list(ids)
    for i in range(0, len(found), SLICE):
        yield found[i : i + SLICE]


def _shut_out(person_id: UUID) -> None:
    """Nobody can be them any more; a session, a ticket or a token of theirs is worth nothing."""
    user = User.objects.filter(id=person_id).first()
    if user is None:
        return
    _end_sessions(user)
    user.email, user.name, user.language = "", name_of_nobody(), ""
    user.is_active = user.is_staff = user.is_superuser = user.show_name_in_summaries = False
    user.last_login = None
    user.set_unusable_password()
    with transaction.atomic():
        user.save()
        User.objects.filter(id=person_id).update(auth_version=F("auth_version") + 1)
        Ticket.objects.filter(person_id=person_id).delete()


def _end_sessions(user: User) -> None:
    """A session's row does not tell whose it is: all are opened. Those of guests may hold an address, too."""
    address = user.email.lower()
    ended = []
    for session in Session.objects.iterator(chunk_size=SLICE):
        told = str(session.get_decoded()).lower()
        if str(user.id) in told or (address and address in told):
            ended.append(session.session_key)
    for i in range(0, len(ended), SLICE):
        Session.objects.filter(session_key__in=ended[i : i + SLICE]).delete()


def _streams(person_id: UUID) -> list[UUID]:
    """Rooms and shops that have something of theirs to let go."""
    rooms = {
        *Message.objects.filter(author_id=person_id, deleted_at__isnull=True)
        .order_by()
        .values_list("room_id", flat=True)
        .distinct(),
        *Membership.objects.filter(person_id=person_id).values_list("room_id", flat=True),
        *Room.objects.filter(owner_id=person_id, archived_at__isnull=True).values_list("id", flat=True),
    }
    laid = Sanction.objects.filter(person_id=person_id, lifted_at__isnull=True)
    for room_id, tenant_id in laid.values_list("room_id", "tenant_id"):
        rooms |= (
            {room_id}
            if room_id
            else set(Room.objects.filter(tenant_id=tenant_id).values_list("id", flat=True))
        )
    shops = {
        *Line.objects.filter(buyer_id=person_id, state=Line.State.HELD).values_list("shop_id", flat=True),
        *Waiting.objects.filter(buyer_id=person_id, state="waiting").values_list("shop_id", flat=True),
    }
    return sorted(rooms) + sorted(shops)


# --- after a restore ----------------------------------------------------------------------------------------------


def apply_again(*more: Path) -> int:
    """Before a restored database is served: erase everybody again who was erased after it was saved.

    By the list of this installation and `more`, as the one that lies beside a backup. Returns how many there were.
    """
    known = ledger.read([ledger.path(), *more])
    for person_id, at in known.items():
        Erasure.objects.update_or_create(
            person_id=person_id, defaults={"asked_at": at, "due_at": at, "done_at": None, "swept_at": None}
        )
        erase(person_id)
    return len(known)


def known() -> dict[UUID, datetime]:
    """Everybody who was erased, by the list and by the database."""
    done = dict(Erasure.objects.filter(done_at__isnull=False).values_list("person_id", "done_at"))
    return {**{who: at for who, at in done.items() if at is not None}, **ledger.read([ledger.path()])}
