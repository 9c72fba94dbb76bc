"""From a basket to a placed order: delivery, totals, numbers, and giving it up."""

from __future__ import annotations

import pytest
from uuid_utils.compat import uuid7

from commerce.errors import Refused
from commerce.models import Adjustment, Contact, Order, Waiting
from commerce.orders.services import erase_contacts
from commerce.shops.services import add_delivery_option
from commerce.verify import drifts
from tests.commerce.world import World, person

pytestmark = pytest.mark.database

ADDRESS = {"name": "Ada", "street": "Main St 1", "postcode": "12345", "city": "Town", "country": "DE"}


@pytest.fixture(autouse=True)
def _books_add_up(world: World):
    yield
    assert drifts() == []


def deliver(world: World, order_id, buyer, option_id, contact=ADDRESS, note=""):
    batch = world.batch()
    batch.book.want_checkout(order_id)
    return batch.decide(
        world.now,
        lambda: batch.book.set_delivery(
            order_id=order_id, option_id=option_id, contact=contact, note=note, buyer=buyer
        ),
    )


def adjust(world: World, order_id, kind, amount):
    batch = world.batch()
    batch.book.want_order(order_id)
    batch.decide(
        world.now,
        lambda: batch.book.add_adjustment(
            order_id=order_id, shop_id=world.shop_id, kind=kind, label=kind, amount_minor=amount
        ),
    )


def give_up(world: World, order_id, **who):
    batch = world.batch()
    batch.book.want_order(order_id)
    batch.decide(world.now, lambda: batch.book.cancel_order(order_id=order_id, **who))


def test_an_order_gets_a_total_and_the_next_number(world: World) -> None:
    numbers = []
    for units in (2, 1):
        buyer = person()
        got = world.claim(buyer, units)
        placed = world.checkout(got.order_id, buyer)
        numbers.append(placed.number)
        order = world.order(got.order_id)
        assert (order.state, order.total_minor, placed.total_minor) == ("placed", units * 1500, units * 1500)
        assert world.line(got.line_id).hold_until == got.hold_until
    assert numbers == [1, 2]


def test_numbers_are_counted_per_shop(world: World) -> None:
    other = World.create()
    for place in (world, other):
        buyer = person()
        assert place.checkout(place.claim(buyer).order_id, buyer).number == 1


def test_an_empty_or_placed_basket_cannot_be_placed(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    world.later(600)
    with pytest.raises(Refused, match=r"order\.empty"):
        world.checkout(got.order_id, buyer)
    world.claim(buyer)
    world.checkout(got.order_id, buyer)
    with pytest.raises(Refused, match=r"order\.state"):
        world.checkout(got.order_id, buyer)
    with pytest.raises(Refused, match=r"order\.unknown"):
        world.checkout(got.order_id, person())


@pytest.mark.parametrize(("free_from", "fee"), [(None, 490), (3001, 490), (3000, 0)])
def test_delivery_costs_a_fee_unless_the_goods_cost_enough(world: World, free_from, fee) -> None:
    option = add_delivery_option(
        shop_id=world.shop_id, kind="delivery", label="Parcel", fee_minor=490, free_from_minor=free_from
    )
    buyer = person()
    got = world.claim(buyer, 2)
    with pytest.raises(Refused, match=r"delivery\.missing"):
        world.checkout(got.order_id, buyer)
    deliver(world, got.order_id, buyer, option.id, note="ring twice")
    assert world.checkout(got.order_id, buyer).total_minor == 3000 + fee
    assert Adjustment.objects.count() == (1 if fee else 0)
    assert Contact.objects.get(order_id=got.order_id).city == "Town"


def test_the_contact_can_be_changed_and_must_be_complete(world: World) -> None:
    parcel = add_delivery_option(shop_id=world.shop_id, kind="delivery", label="Parcel")
    pickup = add_delivery_option(shop_id=world.shop_id, kind="pickup", label="Corner shop")
    buyer = person()
    got = world.claim(buyer)
    with pytest.raises(Refused) as caught:
        deliver(world, got.order_id, buyer, parcel.id, {"name": "Ada"})
    assert caught.value.params == {"missing": ["street", "postcode", "city"]}
    with pytest.raises(Refused, match=r"contact\.too_long"):
        deliver(world, got.order_id, buyer, parcel.id, ADDRESS | {"city": "x" * 101})
    stranger = add_delivery_option(shop_id=World.create().shop_id, kind="pickup", label="Elsewhere")
    with pytest.raises(Refused, match=r"delivery\.unknown"):
        deliver(world, got.order_id, buyer, stranger.id)
    deliver(world, got.order_id, buyer, parcel.id)
    deliver(world, got.order_id, buyer, pickup.id, {"name": "Bob"})
    contact = Contact.objects.get()
    assert (contact.name, contact.street) == ("Bob", "")
    assert world.order(got.order_id).delivery_kind == "pickup"


def test_discounts_never_make_less_than_nothing(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    adjust(world, got.order_id, "discount", -5000)
    adjust(world, got.order_id, "fee", 100)
    assert world.checkout(got.order_id, buyer).total_minor == 100


def test_signs_of_adjustments(world: World) -> None:
    got = world.claim(person())
    for kind, amount in (("discount", 100), ("tax", -100), ("fee", -1)):
        with pytest.raises(Refused, match=r"adjustment\.sign"):
            adjust(world, got.order_id, kind, amount)


def test_an_order_that_costs_nothing_is_paid_at_once(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    adjust(world, got.order_id, "discount", -1500)
    world.checkout(got.order_id, buyer)
    order = world.order(got.order_id)
    assert (order.state, order.payment_state) == ("paid", "paid")
    assert world.counts() == (9, 0, 1, 0)


def test_whoever_waits_waits_on_from_the_next_basket(world: World) -> None:
    world.claim(person(), 9)
    buyer = person()
    got = world.claim(buyer, 2)
    world.checkout(got.order_id, buyer)
    entry = Waiting.objects.get()
    basket = Order.objects.get(state="open", buyer_id=buyer)
    assert entry.order_id == basket.id != got.order_id
    assert world.claim(buyer, 1).order_id == basket.id


def test_claims_after_checkout_go_to_a_new_basket(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    world.checkout(got.order_id, buyer)
    assert world.claim(buyer).order_id != got.order_id
    assert world.order(got.order_id).total_minor == 1500


def test_cancelling_part_of_a_placed_order_lowers_its_total(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 3)
    world.checkout(got.order_id, buyer)
    world.cancel(got.line_id, buyer, 1)
    assert world.order(got.order_id).total_minor == 3000
    assert world.told() == ["line.cancelled", "order.changed"]
    world.cancel(got.line_id, buyer)
    assert world.order(got.order_id).state == "cancelled"
    assert world.counts() == (10, 0, 0, 0)


def test_giving_up_an_order_frees_everything(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 12)
    world.claim(buyer, 1)
    give_up(world, got.order_id, buyer=buyer)
    assert world.counts() == (10, 0, 0, 0)
    assert world.order(got.order_id).state == "cancelled"
    assert world.claim(buyer).order_id != got.order_id
    with pytest.raises(Refused, match=r"order\.state"):
        give_up(world, got.order_id, buyer=buyer)
    with pytest.raises(Refused, match=r"order\.unknown"):
        give_up(world, got.order_id, shop_id=uuid7())


def test_a_placed_order_lapses_with_its_last_hold(world: World) -> None:
    buyer = person()
    first, second = world.claim(buyer), world.claim(buyer, terms=world.terms(hold_seconds=900))
    world.checkout(first.order_id, buyer)
    world.later(600)
    world.sweep()
    assert (world.told(), world.follow_up()) == (["hold.lapsed"], [])
    assert world.order(first.order_id).state == "placed"
    world.later(300)
    world.sweep()
    assert (world.told(), world.follow_up()) == (["hold.lapsed"], ["order.lapsed"])
    order = world.order(second.order_id)
    assert (order.state, order.payment_state) == ("lapsed", "unpaid")
    world.ended = {order.id}
    assert world.follow_up() == []


def test_a_locked_order_lapses_in_the_same_transaction(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    world.checkout(got.order_id, buyer)
    world.later(600)
    batch = world.batch()
    batch.book.want_order(got.order_id)
    batch.decide(world.now, lambda: None)
    assert world.told() == ["hold.lapsed", "order.lapsed"]
    assert world.order(got.order_id).state == "lapsed"
    assert world.follow_up() == []


def test_what_is_given_back_may_be_the_last_that_was_held(world: World) -> None:
    buyer = person()
    got = world.claim(buyer)
    other = world.claim(buyer, terms=world.terms(hold_seconds=900))
    world.checkout(got.order_id, buyer)
    world.later(600)
    world.sweep()
    world.cancel(other.line_id, buyer)
    assert world.told() == ["line.cancelled", "order.changed", "order.lapsed"]
    assert world.order(got.order_id).state == "lapsed"


def test_a_basket_does_not_lapse(world: World) -> None:
    got = world.claim(person())
    world.later(600)
    world.sweep()
    assert world.follow_up() == []
    assert world.order(got.order_id).state == "open"


def test_a_ban_takes_unpaid_orders_too(world: World) -> None:
    buyer = person()
    got = world.claim(buyer, 2)
    world.checkout(got.order_id, buyer)
    batch = world.batch()
    batch.book.want_person(buyer=buyer, shop_id=world.shop_id)
    batch.decide(world.now, lambda: batch.book.drop_person(buyer=buyer, shop_id=world.shop_id))
    assert world.order(got.order_id).state == "cancelled"


def test_personal_data_can_be_erased(world: World) -> None:
    option = add_delivery_option(shop_id=world.shop_id, kind="delivery", label="Parcel")
    buyer = person()
    got = world.claim(buyer)
    deliver(world, got.order_id, buyer, option.id, note="third floor")
    assert erase_contacts(buyer=buyer, shop_id=uuid7()) == 0
    assert erase_contacts(buyer=buyer) == 1
    assert world.order(got.order_id).note == ""
