"""Mail about somebody's own data."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.utils import formats, translation
from django.utils.translation import gettext as _

from chat.log.registry import effect
from livesale.accounts.models import User
from livesale.personal import erasure


@effect("personal.mail")
def send_personal_mail(payload: dict[str, Any]) -> None:
    """Tell a person that their account is about to be deleted: whoever asked for it may have been somebody else."""
    person = User.objects.filter(id=payload["person"], is_active=True).exclude(email="").first()
    if person is None or (wish := erasure.asked(person.id)) is None:
        return
    with translation.override(person.language or settings.LANGUAGE_CODE):
        day = formats.date_format(wish.due_at, "DATE_FORMAT")
        send_mail(
            _("Your account will be deleted"),
            _(
                "You asked us to delete your account. That will happen on %(day)s. Until then you can sign in and "
                "keep it. If it was not you who asked, sign in, keep the account and change your password."
            )
            % {"day": day},
            settings.DEFAULT_FROM_EMAIL,
            [person.email],
        )
