"""The only writers of orders, lines, adjustments, contacts, attempts, payment events and refunds."""

from commerce.orders.services.book import OrderBook
from commerce.orders.services.contacts import erase_contacts

__all__ = ["OrderBook", "erase_contacts"]
