"""Notices are outbox rows of the transaction that they tell of; this sends them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation
from django.utils.translation import gettext as _

from chat.log.registry import effect
from commerce.money import display
from commerce.orders.models import Line, Order
from livesale.accounts.models import User


def _words(kind: str, order: Order, title: str, back: str) -> tuple[str, str] | None:
    number = f"#{order.number}" if order.number else ""
    money = display(order.paid_minor, order.currency, translation.get_language() or "en")
    words = {
        "turn.offered": (_("Your turn: %(title)s"), _("%(title)s is set aside for you for a short time.")),
        "hold.lapses_soon": (
            _("Still want %(title)s?"),
            _("Your hold on %(title)s ends in about two minutes."),
        ),
        "order.paid": (
            _("Receipt for order %(number)s"),
            _("We received %(money)s for order %(number)s. Thank you!"),
        ),
        "order.refunded": (
            _("Refund for order %(number)s"),
            _("%(back)s of order %(number)s goes back to you."),
        ),
        "refund.settled": (
            _("Refund for order %(number)s"),
            _("%(back)s of order %(number)s has been paid back."),
        ),
    }.get(kind)
    if words is None:
        return None
    values = {"title": title, "number": number, "money": money, "back": back}
    return words[0] % values, words[1] % values


@effect("notice.mail")
def send_notice(payload: dict[str, Any]) -> None:
    """Send one notice by mail, to people who have an address."""
    person = User.objects.filter(id=payload["person"], is_active=True).exclude(email="").first()
    order = Order.objects.filter(id=payload["order"]).first()
    if person is None or order is None:
        return
    line = Line.objects.filter(id=UUID(payload["line"])).first() if payload["line"] else None
    with translation.override(person.language or settings.LANGUAGE_CODE):
        # promises of the version before this one name no amount
        minor, currency = payload.get("amount_minor"), payload.get("currency", order.currency)
        back = display(
            order.refunded_minor if minor is None else minor, currency, translation.get_language() or "en"
        )
        words = _words(payload["kind"], order, line.title if line is not None else "", back)
        if words is not None:
            send_mail(words[0], words[1], settings.DEFAULT_FROM_EMAIL, [person.email])
