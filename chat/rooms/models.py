"""Rooms, who belongs to them, and the invitations that lead in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


class RoomKind(models.TextChoices):
    GROUP = "group", "group"
    SALE = "sale", "sale room"


class Role(models.TextChoices):
    """Standing roles. A guest has none; ranks are compared by `chat.rooms.permissions.RANK`."""

    OWNER = "owner", "owner"
    HOST = "host", "host"
    MODERATOR = "moderator", "moderator"
    MEMBER = "member", "member"


class Links(models.TextChoices):
    """Who may send addresses of other sites to a room, and whose are shown as links."""

    OFF = "off", "nobody"
    STAFF = "staff", "the staff"
    EVERYBODY = "everybody", "everybody"


class Room(models.Model):
    """A group or a sale room. Its id is its stream's id."""

    id = models.UUIDField(primary_key=True, editable=False)
    tenant_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=8, choices=RoomKind.choices)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=500, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    open = models.BooleanField(
        default=True, help_text="Anyone with the link may read; otherwise members only."
    )
    locked = models.BooleanField(default=False, help_text="Only staff may write.")
    slow_seconds = models.PositiveIntegerField(default=0)
    links = models.CharField(
        max_length=9, choices=Links.choices, default=Links.EVERYBODY, db_default=Links.EVERYBODY
    )
    repeat_seconds = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How long nobody may say the same again; 0: as often as they like."
    )
    announcement = models.CharField(max_length=500, blank=True)
    announced_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "room"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's place in a room."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField()

    class Meta:
        db_table = "membership"
        constraints = [models.UniqueConstraint(fields=["room", "person"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.room_id} as {self.role}"


class Invite(models.Model):
    """A code that makes whoever has it a member."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.UUIDField()
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="invites")
    code = models.CharField(max_length=24, unique=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    uses_left = models.PositiveIntegerField(null=True, help_text="Empty: as often as liked.")
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "invite"

    def __str__(self) -> str:
        return f"invite to {self.room_id}"
