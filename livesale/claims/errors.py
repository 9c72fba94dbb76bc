"""The sentences of what commerce refuses: its codes are part of the protocol, the words are ours."""

from __future__ import annotations

from chat.log.errors import describe
from commerce.catalogue import errors as catalogue
from commerce.orders import errors as orders
from commerce.payments import errors as payments

describe(orders.CLAIM_QUANTITY, "Order between 1 and {most} at a time.")
describe(orders.CLAIM_LIMIT, "At most {limit} per person; you have {used} already.")
describe(orders.CLAIM_UNPAID, "You hold {held} unpaid units. Pay them first, then you can order more.")
describe(orders.CLAIM_SOLD_OUT, "Sold out, and the waiting list is full.")
describe(orders.OFFER_UNKNOWN, "That offer is not there any more.")
describe(orders.OFFER_CLOSED, "That offer is closed.")
describe(orders.LINE_UNKNOWN, "That is not in your basket.")
describe(orders.LINE_ENDED, "That hold has ended already.")
describe(orders.LINE_QUANTITY, "You have {live} of it.")
describe(orders.LINE_NOT_TURN, "That is not an offered turn.")
describe(orders.LINE_EXTENDED, "A hold can be extended only once.")
describe(orders.WAITING_UNKNOWN, "You are not waiting for that any more.")
describe(orders.ORDER_UNKNOWN, "That order is not there.")
describe(orders.ORDER_STATE, "That cannot be done with this order any more.")
describe(orders.ORDER_EMPTY, "There is nothing left to pay in this order.")
describe(orders.ORDER_PAID, "This order is paid. Ask the shop for a refund.")
describe(orders.DELIVERY_MISSING, "Choose first how you want to get it.")
describe(orders.DELIVERY_UNKNOWN, "That way of delivery is not offered.")
describe(orders.CONTACT_INCOMPLETE, "Please fill in: {missing}.")
describe(orders.CONTACT_TOO_LONG, "That is too long: at most {limit} characters.")
describe(orders.FULFILMENT_STEP, "That is not the next step of this order.")
describe(orders.ATTEMPT_UNKNOWN, "That payment is not there.")
describe(orders.REFUND_TOO_MUCH, "That is more than can be paid back.")
describe(orders.REFUND_EMPTY, "There is nothing to pay back.")
describe(orders.REFUND_STATE, "That refund cannot be changed any more.")
describe(catalogue.BAD_PRICE, "A price is a whole number of the smallest coin, not below zero.")
describe(catalogue.BAD_CODE, "A code has 1 to 24 characters and no spaces.")
describe(catalogue.CODE_TAKEN, "Another product already has the code {taken}.")
describe(catalogue.UNKNOWN, "That product is not there any more.")
describe(payments.GATEWAY_UNKNOWN, "That way of paying is not offered here.")
describe(payments.METHOD_UNKNOWN, "That way of paying is not offered here.")
describe("stock.too_few", "There are not that many free units.")
describe("stock.bad_quantity", "A number of units is a whole number above zero.")
describe("stock.closed", "That stock is closed.")
describe("stock.nested", "Units of a drop cannot be set aside again.")
describe("stock.other_variant", "Units can only move between stocks of the same product.")
describe("stock.unknown", "That stock is not there any more.")
describe(orders.ADJUSTMENT_SIGN, "Discounts are below zero, everything else is above.")
