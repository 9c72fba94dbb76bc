"""What shipping costs: when an order is placed, and again when goods are given back before it is paid."""

from __future__ import annotations

from dataclasses import dataclass


def fee_for(fee: int, free_from: int | None, goods: int) -> int:
    """What is added for shipping when goods of this price are placed."""
    return fee if free_from is None or goods < free_from else 0


@dataclass(slots=True)
class Spared:
    """Shipping that a placed and unpaid order does not pay, or not whole, because of how much was ordered."""

    label: str
    fee: int
    free_from: int
    charged: int = 0

    def fee_again(self, goods: int, back: int) -> int:
        """What is added when only these goods are left and ``back`` less is to be paid for them.

        Never more than what comes back: to give something back makes no order dearer, and a payment that was begun
        before is never too small.
        """
        if goods >= self.free_from:
            return 0
        return max(0, min(self.fee - self.charged, back))
