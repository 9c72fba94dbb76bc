"""What a shop sells: products, their variants, their pictures."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class Product(models.Model):
    """A thing for sale. ``code`` is what people type in the chat, unique in the shop among what is not archived."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="products")
    code = models.CharField(max_length=24)
    title = models.CharField(max_length=160)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["shop", "code"], condition=models.Q(archived_at=None), name="product_code_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.title}"


class Variant(models.Model):
    """One buyable form of a product. ``label`` is empty where a product has only one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="variants")
    label = models.CharField(max_length=60, blank=True)
    sku = models.CharField(max_length=64, blank=True)
    price_minor = models.BigIntegerField(
        help_text=_("Price of one unit in minor units of the shop's currency.")
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("position", "id")
        constraints = [
            models.UniqueConstraint(fields=["product", "label"], name="variant_label_unique"),
            models.CheckConstraint(condition=models.Q(price_minor__gte=0), name="variant_price_not_negative"),
        ]

    def __str__(self) -> str:
        return self.label or self.sku or str(self.id)


def media_path(media: Media, filename: str) -> str:
    return f"shops/{media.shop_id}/media/{media.id}/{filename}"


class Media(models.Model):
    """A picture of a product: the cleaned original and its renditions ``{"160": {"file", "width", "height"}, …}``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    shop = models.ForeignKey("commerce.Shop", on_delete=models.PROTECT, related_name="+")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="media")
    file = models.FileField(upload_to=media_path, max_length=255)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    alt = models.CharField(max_length=200, blank=True)
    renditions = models.JSONField(default=dict)
    position = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.alt or str(self.file)
