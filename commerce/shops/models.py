"""A shop, who works in it, its keys, how it delivers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class Shop(models.Model):
    """A merchant: the tenant to whom every row of commerce belongs. One currency per shop."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    currency = models.CharField(max_length=3, help_text=_("ISO 4217 code, for example EUR."))
    country = models.CharField(max_length=2, blank=True, help_text=_("ISO 3166 code."))
    language = models.CharField(max_length=12, default="en")
    timezone = models.CharField(max_length=64, default="UTC")
    terms = models.TextField(blank=True, help_text=_("Terms of sale that buyers can read."))
    contact_email = models.EmailField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="shop_currency_iso"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a person may do in a shop; each role may do all that the next one may."""

    OWNER = "owner", _("owner")
    MANAGER = "manager", _("manager")
    HOST = "host", _("host")
    PACKER = "packer", _("packer")


class ShopStaff(models.Model):
    """One person's role in one shop."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="staff")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=Role.choices)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shop", "person"], name="shop_staff_unique")]

    def __str__(self) -> str:
        return f"{self.person_id} {self.role}"


class ShopKey(models.Model):
    """A shop's API key. Only its SHA-256 is kept; ``prefix`` tells keys apart in lists and logs."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True, help_text=_("SHA-256 of the key, hexadecimal."))
    ceiling = models.CharField(
        max_length=8, choices=Role.choices, help_text=_("The highest role this key can act as.")
    )
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class ShopCounter(models.Model):
    """The next order number of a shop; locked only while an order is placed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.OneToOneField(Shop, on_delete=models.CASCADE, related_name="counter")
    next_number = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.next_number)


class DeliveryOption(models.Model):
    """A way to get the goods: delivery with a fee, or a pick-up point."""

    class Kind(models.TextChoices):
        DELIVERY = "delivery", _("delivery")
        PICKUP = "pickup", _("pick-up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="delivery_options")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    label = models.CharField(max_length=120)
    details = models.TextField(
        blank=True, help_text=_("Address and hours of a pick-up point, or where is delivered.")
    )
    fee_minor = models.BigIntegerField(default=0)
    free_from_minor = models.BigIntegerField(
        null=True, blank=True, help_text=_("No fee when the goods cost at least this much.")
    )
    position = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ("position", "id")
        constraints = [
            models.CheckConstraint(condition=models.Q(fee_minor__gte=0), name="delivery_fee_not_negative")
        ]

    def __str__(self) -> str:
        return self.label
