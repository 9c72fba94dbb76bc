"""What staff do is written down: actor, act, whom it was about; in the same transaction, or not at all."""

from __future__ import annotations

import pytest

from chat.moderation.models import AuditEntry
from tests.proofs.test_two_shops import try_it, undone
from tests.proofs.test_who_may import COMMANDS, EVERYBODY, House, Row, Things, commands

pytestmark = pytest.mark.django_db

# The daily work of selling: the log of the stream has it; it is done to no person, and changes no rule or price.
DAILY_WORK = {
    "delivery.add", "offer.feature", "offer.reorder", "offer.remove", "offer.update", "product.create", "room.create",
    "sale.configure", "sale.start", "sale.resume",
}  # fmt: skip
# In the world of the table these are carried out and change nothing, which is not worth an entry.
NOTHING_CHANGED = {"message.settle", "room.configure", "shop.configure", "staff.remove"}


def acts_of_staff() -> list[str]:
    """Every row of the table of who may that is not for everybody, and can be carried out in its world."""
    found = []
    for name, rule in COMMANDS.items():
        row: Row = rule.others if isinstance(rule, Things) else rule
        if "owner" in row.may and row.may != EVERYBODY and not row.unless:
            found.append(name)
    return found


def test_every_act_of_staff_has_its_entry_and_a_refused_one_has_none(db: None) -> None:
    house = House()
    missing, written = set(), 0
    for name in acts_of_staff():
        spec = commands()[name.split(" ")[0]]
        for kind, stream in house.streams(spec):
            body = house.body(spec, name, kind, "victim")
            for who in ("owner", "stranger"):
                before = set(AuditEntry.objects.values_list("id", flat=True))
                with undone():
                    code = try_it(spec, stream, body, house.people[who])
                    made = [e for e in AuditEntry.objects.all() if e.id not in before]
                if who == "stranger":
                    assert code, f"{name} by a stranger"
                    assert made == [], f"{name} was refused and is in the audit"
                elif not made:
                    missing.add(spec.name)
                else:
                    assert code == ""
                    assert all(entry.actor_id == house.people["owner"].id for entry in made), name
                    written += 1
    allowed = DAILY_WORK | NOTHING_CHANGED
    assert missing == allowed, (
        f"without an entry: {missing - allowed}; with one after all: {allowed - missing}"
    )
    assert written >= 15


def test_what_changed_nothing_above_has_its_entry_where_it_changes_something(db: None) -> None:
    house = House()
    said = house.things["victim"]["room"]["message"]
    house.do(house.room, "message.report", "member", message=said)
    house.do(house.room, "message.settle", message=said)
    house.do(house.shop, "shop.configure", terms="No returns.")
    house.do(house.shop, "staff.remove", person=house.id("packer"))
    house.do(house.room, "room.configure", slow_seconds=5)
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions >= NOTHING_CHANGED
