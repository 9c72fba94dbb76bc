"""Every table of the app, re-exported."""

from livesale.personal.models import Erasure
from livesale.sales.models import Offer, OfferState, Sale, SaleState
from livesale.upkeep.models import Chore

__all__ = ["Chore", "Erasure", "Offer", "OfferState", "Sale", "SaleState"]
