"""Every table of the app, re-exported."""

from livesale.sales.models import Offer, OfferState, Sale, SaleState

__all__ = ["Offer", "OfferState", "Sale", "SaleState"]
