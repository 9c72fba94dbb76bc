"""The tables of commerce, one subject each."""

from commerce.catalogue.models import Media, Product, Variant
from commerce.orders.models import Adjustment, Contact, Line, Order
from commerce.payments.models import Attempt, PaymentEvent, Refund
from commerce.shops.models import DeliveryOption, Role, Shop, ShopCounter, ShopKey, ShopStaff
from commerce.stock.models import Movement, Pool, Waiting

__all__ = [
    "Adjustment",
    "Attempt",
    "Contact",
    "DeliveryOption",
    "Line",
    "Media",
    "Movement",
    "Order",
    "PaymentEvent",
    "Pool",
    "Product",
    "Refund",
    "Role",
    "Shop",
    "ShopCounter",
    "ShopKey",
    "ShopStaff",
    "Variant",
    "Waiting",
]
