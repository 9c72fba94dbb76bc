"""Why a decision about an order was refused. The codes are part of the protocol; texts are the caller's."""

CLAIM_QUANTITY = "claim.quantity"  # not an integer from 1 to 999
CLAIM_LIMIT = "claim.limit"  # limit, used, left
CLAIM_UNPAID = "claim.unpaid_cap"  # cap, held
CLAIM_SOLD_OUT = "claim.sold_out"  # waiting, cap: nothing free and no place in the waiting list
OFFER_UNKNOWN = "offer.unknown"  # the pool is not this shop's
OFFER_CLOSED = "offer.closed"
LINE_UNKNOWN = "line.unknown"  # or not of this person or shop
LINE_ENDED = "line.not_held"  # state
LINE_QUANTITY = "line.quantity"  # live
LINE_NOT_TURN = "line.not_a_turn"
LINE_EXTENDED = "line.extended"  # once per hold, and only where the terms allow it
WAITING_UNKNOWN = "waiting.unknown"  # or no longer waiting
ORDER_UNKNOWN = "order.unknown"  # or not of this person or shop
ORDER_STATE = "order.state"  # state: the order is not in a state that allows it
ORDER_EMPTY = "order.empty"
ORDER_PAID = "order.paid"  # paid orders are refunded by the shop
DELIVERY_MISSING = "delivery.missing"
DELIVERY_UNKNOWN = "delivery.unknown"
CONTACT_INCOMPLETE = "contact.incomplete"  # missing
CONTACT_TOO_LONG = "contact.too_long"  # field, limit
FULFILMENT_STEP = "fulfilment.step"  # state, allowed
ATTEMPT_UNKNOWN = "payment.unknown"
REFUND_TOO_MUCH = "refund.too_much"  # left
REFUND_EMPTY = "refund.empty"
REFUND_STATE = "refund.state"  # state
ADJUSTMENT_SIGN = "adjustment.sign"  # discounts are negative, everything else is not
