"""The only writers of orders, lines, adjustments, contacts, attempts, payment events and refunds."""

from commerce.orders.services.book import OrderBook
from commerce.orders.services.contacts import drop_old_contacts, erase_contacts, erase_free_contacts

__all__ = ["OrderBook", "drop_old_contacts", "erase_contacts", "erase_free_contacts"]
