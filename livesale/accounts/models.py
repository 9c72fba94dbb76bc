"""The person. Every other table names a person only by this UUID."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person; an unusable password when none is given."""
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> User:
        """By address, which is what people type, or by id."""
        if username and "@" in username:
            return self.get(email__iexact=username)
        try:
            return self.get(id=UUID(str(username)))
        except ValueError:
            raise self.model.DoesNotExist from None


class User(AbstractBaseUser, PermissionsMixin):
    """A person: buyer, host, moderator or operator. `id` is a UUIDv7 and is public."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("e-mail address"), blank=True)
    name = models.CharField(_("name shown in rooms"), max_length=60, blank=True)
    language = models.CharField(max_length=12, blank=True)
    show_name_in_summaries = models.BooleanField(
        default=False, help_text=_("Agreed to be named when the room hears what was sold.")
    )
    auth_version = models.PositiveIntegerField(
        default=1, help_text=_("Raised at logout everywhere, password change and deactivation.")
    )
    sign_outs = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("How often all sessions of theirs were ended at once.")
    )
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(_("may enter the admin"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "id"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["email"]

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique", condition=~models.Q(email="")),
        ]

    def __str__(self) -> str:
        return self.name or self.email or str(self.id)

    def set_password(self, raw_password: str | None) -> None:
        """A new password ends every sign-in that was made with the old one."""
        super().set_password(raw_password)
        self.auth_version = (self.auth_version or 0) + 1

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must hold to be theirs; Django asks here for replaced secret keys, too.

        Until somebody is signed out everywhere it is Django's own, which knows the password: sessions that are older
        than the column live on, and a version without it agrees with this one.
        """
        by_password: str = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        if not self.sign_outs:
            return by_password
        made_of = f"{self.sign_outs}:{by_password}"
        return salted_hmac("livesale.session", made_of, secret=secret, algorithm="sha256").hexdigest()


class ExternalIdentity(models.Model):
    """A shop's own user, known here by the id that the shop gave: one person per shop and external id."""

    shop_id = models.UUIDField()
    external_id = models.CharField(max_length=190)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="external_identities")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["shop_id", "external_id"], name="external_identity_unique")
        ]

    def __str__(self) -> str:
        return f"{self.shop_id}/{self.external_id}"


class Ticket(models.Model):
    """A single-use pass for one socket. Only its digest is stored.

    `session` is what the socket will live by: the key of the browser's session that asked for the ticket, or a shop's
    key (`livesale.accounts.identity.by_shop_key`). Empty: by nothing but the person's account.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    origin = models.CharField(max_length=200, blank=True)
    session = models.CharField(max_length=64, blank=True, default="", db_default="")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"ticket of {self.person_id}"

    @staticmethod
    def digest_of(ticket: str) -> str:
        return hashlib.sha256(ticket.encode()).hexdigest()
