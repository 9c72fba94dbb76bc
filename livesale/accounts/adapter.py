"""What allauth asks us about accounts."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        """A new person is shown by the part of the address before the @ until they choose a name."""
        user = super().save_user(request, user, form, commit=False)
        if not user.name:
            user.name = user.email.split("@")[0][:60]
        if commit:
            user.save()
        return user
