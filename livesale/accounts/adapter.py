"""What allauth asks us about accounts; its hooks are how we hear that a sign-in has ended."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from livesale.accounts.address import client_address
from livesale.accounts.models import Ticket
from livesale.accounts.services import end_session
from livesale.accounts.sockets import judge_anew


class AccountAdapter(DefaultAccountAdapter):
    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        """A new person is shown by the part of the address before the @ until they choose a name."""
        user = super().save_user(request, user, form, commit=False)
        if not user.name:
            user.name = user.email.split("@")[0][:60]
        if commit:
            user.save()
        return user

    def logout(self, request: HttpRequest) -> None:
        """The session's row goes, and its sockets with it."""
        session_key, person_id = request.session.session_key, request.user.pk
        super().logout(request)
        if person_id is not None:
            end_session(session_key or "", person_id)

    def set_password(self, user: Any, password: str) -> None:
        """A new password ends what was opened with the old one: sessions, tickets, sockets."""
        super().set_password(user, password)
        Ticket.objects.filter(person_id=user.pk).delete()
        judge_anew(user.pk)

    def get_client_ip(self, request: HttpRequest) -> str:
        """Rate limits count per address: only our own proxies may say which."""
        return client_address(request)
