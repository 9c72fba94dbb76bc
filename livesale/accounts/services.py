"""The only writers of people: profile, password, deactivation, people that a shop brings with it."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models import F

from chat.log.errors import Refused, describe
from chat.messages.text import clean
from livesale.accounts.models import ExternalIdentity, Ticket, User
from livesale.accounts.sockets import judge_anew

describe("name.too_long", "That name is too long: at most {limit} characters.")
describe("language.unknown", "This site does not speak that language.")

NAME_LIMIT: int = User._meta.get_field("name").max_length or 60


def clean_name(text: str) -> str:
    """A name as it is stored: one line, bounded. Raises `text.*`, `name.too_long`."""
    name = " ".join(clean(text, limit=NAME_LIMIT).split())
    if len(name) > NAME_LIMIT:
        raise Refused("name.too_long", limit=NAME_LIMIT)
    return name


def change_profile(
    person_id: UUID,
    *,
    name: str | None = None,
    language: str | None = None,
    show_name_in_summaries: bool | None = None,
) -> User:
    """Change what is given. An empty language means: whatever the browser asks for."""
    user = User.objects.get(id=person_id)
    fields = []
    if name is not None:
        user.name = clean_name(name)
        fields.append("name")
    if language is not None:
        if language and language not in dict(settings.LANGUAGES):
            raise Refused("language.unknown")
        user.language = language
        fields.append("language")
    if show_name_in_summaries is not None:
        user.show_name_in_summaries = show_name_in_summaries
        fields.append("show_name_in_summaries")
    if fields:
        user.save(update_fields=fields)
    return user


def end_everywhere(person_id: UUID) -> None:
    """Sign a person out on all devices, this one too: sessions, tickets, resume tokens and sockets."""
    with transaction.atomic():
        User.objects.filter(id=person_id).update(
            auth_version=F("auth_version") + 1, sign_outs=F("sign_outs") + 1
        )
        Ticket.objects.filter(person_id=person_id).delete()
    judge_anew(person_id)


def deactivate(person_id: UUID) -> None:
    """The person may not sign in any more and is signed out everywhere."""
    User.objects.filter(id=person_id).update(is_active=False)
    end_everywhere(person_id)


def end_session(session_key: str, person_id: UUID) -> None:
    """One session is over (its row is deleted by whoever ends it): close its sockets."""
    Session.objects.filter(session_key=session_key).delete()
    judge_anew(person_id)


def external_person(*, shop_id: UUID, external_id: str, name: str) -> User:
    """The person behind a shop's own user; made at first sight, without address or password."""
    known = ExternalIdentity.objects.filter(shop_id=shop_id, external_id=external_id)
    found = known.select_related("person").first()
    if found is None:
        try:
            with transaction.atomic():
                person = User.objects.create_user("", None, name=name)
                return ExternalIdentity.objects.create(
                    shop_id=shop_id, external_id=external_id, person=person
                ).person
        except IntegrityError:  # another request was first
            found = known.select_related("person").get()
    if found.person.name != name and not found.person.email:
        User.objects.filter(id=found.person_id).update(name=name)
    return found.person
