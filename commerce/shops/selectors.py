"""Reads about shops and who works there."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from commerce.shops.models import DeliveryOption, Shop, ShopStaff


def shop_by_slug(slug: str) -> Shop | None:
    return Shop.objects.filter(slug=slug).first()


def staff_role(*, shop_id: UUID, person: UUID) -> str | None:
    """The person's role in the shop: owner, manager, host or packer; None for everybody else."""
    return ShopStaff.objects.filter(shop_id=shop_id, person_id=person).values_list("role", flat=True).first()


def staff_roles(*, person: UUID) -> dict[UUID, str]:
    """Every shop in which the person works, with the role."""
    return dict(ShopStaff.objects.filter(person_id=person).values_list("shop_id", "role"))


def delivery_options(*, shop_id: UUID) -> QuerySet[DeliveryOption]:
    """What buyers can choose from, in the shop's order."""
    return DeliveryOption.objects.filter(shop_id=shop_id, is_active=True)
