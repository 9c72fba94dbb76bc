"""People, a shop and a sale for the browser: `python -m tests.browser.world` prints it as JSON."""

from __future__ import annotations

import json

import django

PASSWORD = "correct horse 7"


def main() -> None:
    django.setup()
    from uuid import UUID

    from chat.log.execute import execute
    from livesale.accounts.models import User
    from livesale.backoffice.services import open_shop

    people = {
        name: User.objects.create_user(f"{name}@walk.test", PASSWORD, name=name.title())
        for name in ("host", "moderator", "anna", "boris")
    }
    host = people["host"].id
    shop = open_shop(name="Corner shop", currency="EUR", owner_id=host).id
    variants = [{"label": "M", "price_minor": 1990, "stock": 3}]
    product = {"code": "12", "title": "Wool scarf", "variants": variants}
    made = execute(shop, "product.create", product, actor_id=host).answer
    room = UUID(
        execute(shop, "room.create", {"kind": "sale", "name": "Saturday"}, actor_id=host).answer["room"]
    )
    execute(room, "sale.schedule", {"title": "Saturday night"}, actor_id=host)
    offer = {"variant": made["variants"][0], "waitlist_cap": 5, "open": False}
    execute(room, "offer.add", offer, actor_id=host)
    execute(room, "member.join", actor_id=people["moderator"].id)
    execute(
        room, "member.appoint", {"person": str(people["moderator"].id), "role": "moderator"}, actor_id=host
    )
    print(json.dumps({"room": str(room), "shop": str(shop), "password": PASSWORD}))


if __name__ == "__main__":
    main()
