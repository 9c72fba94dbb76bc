"""The orders of a batch."""

from __future__ import annotations

from commerce.orders.services.fulfilment import Fulfilment
from commerce.orders.services.refunds import Refunds


class OrderBook(Refunds, Fulfilment):
    """Baskets, lines, waiting places and payments of a batch: want, lock, load, decide, write.

    Use it with the `StockBook` that it was given, in the order of their ranks. When ``load`` returns, holds whose time
    is up have lapsed and those who wait have been served, within bounds (`more` says whose pools were not finished).

    Whoever asks is named by keyword: ``buyer`` for a person's own things, ``shop_id`` for staff of that shop. A row of
    somebody else is answered like a row that does not exist.
    """
