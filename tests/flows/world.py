"""Makes the world of a flow in the environment's database and prints it as JSON: `python -m tests.flows.world`."""

from __future__ import annotations

import json

import django


def main() -> None:
    django.setup()
    from chat.log.execute import execute
    from chat.realtime.identity import Identity
    from chat.rooms.models import Room
    from livesale.accounts.identity import ProjectIdentities
    from livesale.accounts.models import User
    from livesale.backoffice.services import open_shop

    people = {
        name: User.objects.create_user(
            f"{name}@flow.test", name=name.title(), show_name_in_summaries=name == "buyer"
        )
        for name in ("host", "moderator", "buyer", "hidden", "other", "third")
    }
    host = people["host"].id
    shop = open_shop(name="Flow", currency="EUR", owner_id=host).id
    made = execute(
        shop,
        "product.create",
        {
            "code": "12",
            "title": "Scarf",
            "variants": [{"label": label, "price_minor": 1990, "stock": 9} for label in ("S", "M", "L")],
        },
        actor_id=host,
    ).answer
    room = execute(shop, "room.create", {"kind": "sale", "name": "Flow"}, actor_id=host).answer["room"]
    room_id = Room.objects.get(id=room).id

    def do(name: str, body: dict[str, object] | None = None, who: str = "host") -> dict[str, object]:
        return execute(room_id, name, body or {}, actor_id=people[who].id).answer

    do("sale.schedule", {"title": "Flow"})
    offers = [do("offer.add", {"variant": v, "waitlist_cap": 20})["offer"] for v in made["variants"]]
    do("sale.start")
    for name in ("buyer", "hidden", "other", "third"):
        do("member.join", who=name)
    do("member.appoint", {"person": str(people["moderator"].id), "role": "moderator"})
    do("member.hide", {"person": str(people["hidden"].id), "reason": "test"})
    tokens = ProjectIdentities()
    print(
        json.dumps(
            {
                "shop": str(shop),
                "room": room,
                "offers": offers,
                "variants": made["variants"],
                "people": {
                    name: {
                        "id": str(p.id),
                        "resume": tokens.resume_token(Identity(p.id, p.name, p.auth_version)),
                    }
                    for name, p in people.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
