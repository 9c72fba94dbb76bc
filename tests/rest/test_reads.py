"""What can be read by request, and by whom: two shops, and nobody sees what is the other's."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.test import Client
from django.urls import get_resolver
from uuid_utils.compat import uuid7

from livesale.accounts.models import User
from livesale.rest import me, orders, rooms, shops, streams, throttle
from tests.rest.world import ShopWorld, client, person

pytestmark = pytest.mark.database

API = "/api/v1/"


def get(user: User | None, path: str, status: int = 200) -> Any:
    answer = client(user).get(API + path)
    assert answer.status_code == status, (path, answer.content[:300])
    assert answer["Cache-Control"] == "no-store"
    return answer.json()


def test_a_stream_is_read_as_its_socket_would(world: ShopWorld) -> None:
    snapshot = get(world.buyer, f"streams/{world.room}/snapshot/")
    assert snapshot["public"]["room"]["name"] == "Room of Anna"
    assert snapshot["personal"]["me"]["person"] == str(world.buyer.id)
    page = get(world.buyer, f"streams/{world.room}/events/?after=0&limit=500")
    assert (page["first"], page["last"], page["seq"]) == (1, snapshot["seq"], snapshot["seq"])
    assert [e["seq"] for e in page["events"]] == sorted(e["seq"] for e in page["events"])
    rest = get(world.buyer, f"streams/{world.room}/events/?after={snapshot['seq']}")
    assert (rest["last"], rest["events"]) == (snapshot["seq"], [])
    first = get(world.buyer, f"streams/{world.room}/events/?limit=1")
    assert first["last"] == 1
    msgspec.convert(page, streams.EventPage, strict=False)
    msgspec.convert(snapshot, streams.Snapshot, strict=False)


def test_what_is_another_persons_is_withheld(world: ShopWorld) -> None:
    claimed = {"claim.answered", "order.changed", "line.changed"}
    own, guest, staff = (
        {e["kind"] for e in get(who, f"streams/{world.room}/events/")["events"]}
        for who in (world.buyer, None, world.owner)
    )
    assert own & claimed
    assert not guest & claimed
    assert not staff & {"claim.answered"}


def test_a_position_that_the_log_does_not_know(world: ShopWorld) -> None:
    for after in (10**9, 2**62):
        assert get(None, f"streams/{world.room}/events/?after={after}", 409)["code"] == "events.resync"
    for query in (
        "after=-1",
        "after=x",
        "limit=0",
        "limit=501",
        "more=1",
        "after=1&after=2",
        f"after={2**63}",
    ):
        assert get(None, f"streams/{world.room}/events/?{query}", 400)["code"] == "command.invalid"


def test_older_messages_page_by_page(world: ShopWorld) -> None:
    for n in range(5):
        world.do(world.room, "message.send", text=f"message {n}")
    page = get(None, f"streams/{world.room}/messages/?limit=2")
    assert [e["body"]["text"] for e in page["events"]] == ["message 3", "message 4"]
    assert page["more"]
    before = page["events"][0]["seq"]
    older = get(None, f"streams/{world.room}/messages/?limit=10&before={before}")
    assert [e["body"]["text"] for e in older["events"]] == ["message 0", "message 1", "message 2"]
    assert not older["more"]
    msgspec.convert(page, streams.MessagePage, strict=False)


def test_deleted_messages_keep_their_place_and_lose_their_text(world: ShopWorld) -> None:
    sent = world.do(world.room, "message.send", text="a slip")
    world.do(world.room, "message.delete", message=sent["message"])
    answer = client().get(f"{API}streams/{world.room}/messages/")
    assert b"a slip" not in answer.content
    assert answer.json()["events"][-1]["body"]["deleted"]


@pytest.mark.parametrize("path", ["snapshot/", "events/", "messages/"])
def test_a_closed_room_is_for_its_members(world: ShopWorld, other: ShopWorld, path: str) -> None:
    get(world.owner, f"streams/{world.closed}/{path}")
    for stranger in (None, world.buyer, other.owner):
        for stream in (world.closed, uuid7()):
            assert get(stranger, f"streams/{stream}/{path}", 404)["code"] == "stream.unknown"


@pytest.mark.parametrize("path", ["snapshot/", "events/", "messages/"])
def test_who_is_banned_reads_no_more(world: ShopWorld, path: str) -> None:
    world.do(world.room, "member.ban", person=str(world.buyer.id))
    assert get(world.buyer, f"streams/{world.room}/{path}", 403)["code"] == "member.banned"
    get(world.buyer, f"rooms/{world.room}/", 403)


def test_who_am_i(world: ShopWorld) -> None:
    assert get(None, "me/")["person"] is None
    mine = get(world.owner, "me/")
    assert mine["name"] == "Anna-owner"
    assert [(s["id"], s["role"]) for s in mine["shops"]] == [(str(world.shop), "owner")]
    assert get(world.buyer, "me/")["shops"] == []
    msgspec.convert(mine, me.Me, strict=False)


def patch_me(user: User, **body: Any) -> Any:
    return client(user).patch(f"{API}me/", body, content_type="application/json")


def test_changing_oneself(world: ShopWorld) -> None:
    answer = patch_me(world.buyer, name="  Eve\n  the   First ", language="de", show_name_in_summaries=True)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["name"], answer.json()["language"]) == ("Eve the First", "de")
    assert get(world.buyer, "me/")["show_name_in_summaries"] is True
    for body in (
        {"name": ""},
        {"name": "x" * 61},
        {"name": "a\u202eb"},
        {"language": "xx"},
        {"is_staff": True},
    ):
        assert patch_me(world.buyer, **body).status_code in {400, 404, 409}, body
    assert client().patch(f"{API}me/", {}, content_type="application/json").status_code == 401


def test_the_panel_has_what_one_holds(world: ShopWorld, other: ShopWorld) -> None:
    mine = get(world.buyer, "me/panel/")
    assert [o["order"] for o in mine["orders"]] == [str(world.order)]
    assert get(world.owner, "me/panel/")["orders"] == []
    assert get(None, "me/panel/", 401)["code"] == "auth.required"


def test_a_ticket_is_for_one_socket_of_one_person(world: ShopWorld) -> None:
    from livesale.accounts.identity import ProjectIdentities

    made = client(world.buyer).post(f"{API}me/ticket/", headers={"origin": "https://shop.example"})
    assert made.status_code == 201, made.content
    ticket = made.json()["ticket"]
    identities = ProjectIdentities()
    found = identities.from_ticket(ticket, "https://shop.example")
    assert found is not None
    assert found.person_id == world.buyer.id
    assert identities.from_ticket(ticket, "https://shop.example") is None
    again = client(world.buyer).post(f"{API}me/ticket/", headers={"origin": "https://shop.example"}).json()
    assert identities.from_ticket(again["ticket"], "https://evil.example") is None
    assert client().post(f"{API}me/ticket/").status_code == 401


def test_tickets_are_not_made_without_end(world: ShopWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    # all within one window, half a minute before it ends
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: 30.0))
    made = client(world.buyer)
    statuses = [made.post(f"{API}me/ticket/").status_code for _ in range(121)]
    assert statuses[0] == 201
    assert 429 in statuses
    last = made.post(f"{API}me/ticket/")
    assert (last.json()["code"], last.json()["temporary"]) == ("rate.limited", True)
    assert int(last["Retry-After"]) >= 1
    assert client(world.owner).post(f"{API}me/ticket/").status_code == 201


def test_room_cards(world: ShopWorld, other: ShopWorld) -> None:
    card = get(None, f"rooms/{world.room}/")
    assert (card["room"]["name"], card["shop_name"], card["role"]) == ("Room of Anna", "Anna", "guest")
    assert get(world.owner, f"rooms/{world.closed}/")["role"] == "owner"
    for stranger in (None, world.buyer, other.owner):
        get(stranger, f"rooms/{world.closed}/", 404)
    get(None, f"rooms/{world.shop}/", 404)
    msgspec.convert(card, rooms.RoomPage, strict=False)


def test_joining_with_a_code(world: ShopWorld) -> None:
    code = world.do(world.closed, "invite.create", uses=1)["code"]
    join = {"path": f"{API}rooms/join/", "data": {"code": code}, "content_type": "application/json"}
    assert client().post(**join).status_code == 401
    answer = client(world.buyer).post(**join)
    assert (answer.status_code, answer.json()) == (200, {"room": str(world.closed)})
    get(world.buyer, f"streams/{world.closed}/snapshot/")
    late = client(person("Late")).post(**join)
    assert (late.status_code, late.json()["code"]) == (409, "invite.invalid")
    statuses = [
        client(person("Guesser")).post(**{**join, "data": {"code": "guess"}}).status_code for _ in range(1)
    ]
    assert statuses == [409]


def test_a_shop_shows_what_everyone_may_see(world: ShopWorld, other: ShopWorld) -> None:
    for name in (world.slug, world.shop):
        card = get(None, f"shops/{name}/")
        assert card["name"] == "Anna"
        assert [p["title"] for p in card["products"]] == ["Scarf of Anna"]
        assert [r["id"] for r in card["rooms"]] == [str(world.room)]
    msgspec.convert(card, shops.ShopPage, strict=False)
    assert get(None, "shops/nothing/", 404)["code"] == "shop.unknown"
    get(None, f"shops/{uuid7()}/", 404)
    assert [p["product"] for p in get(other.owner, f"shops/{world.slug}/products/")["products"]] == [
        str(world.product)
    ]
    for stranger in (None, world.buyer, other.owner):
        assert [r["id"] for r in get(stranger, f"shops/{world.slug}/rooms/")["rooms"]] == [str(world.room)]
    assert {r["id"] for r in get(world.owner, f"shops/{world.slug}/rooms/")["rooms"]} == {
        str(world.room),
        str(world.closed),
    }


def test_opening_a_shop(db: None) -> None:
    eve = person("Eve")
    body = {"name": "Eve's", "currency": "eur", "country": "DE"}
    answer = client(eve).post(f"{API}shops/", body, content_type="application/json")
    assert answer.status_code == 201, answer.content
    shop = UUID(answer.json()["shop"])
    assert get(eve, f"streams/{shop}/snapshot/")["personal"]["me"]["role"] == "owner"
    wrong = client(eve).post(f"{API}shops/", {**body, "currency": "XXX1"}, content_type="application/json")
    assert wrong.status_code == 400
    unknown = client(eve).post(f"{API}shops/", {**body, "currency": "QQQ"}, content_type="application/json")
    assert (unknown.status_code, unknown.json()["code"]) == (409, "shop.currency")
    assert client().post(f"{API}shops/", body, content_type="application/json").status_code == 401


def test_orders_are_for_those_who_work_in_the_shop(world: ShopWorld, other: ShopWorld) -> None:
    found = get(world.owner, f"shops/{world.slug}/orders/?state=open")
    assert [o["order"] for o in found["orders"]] == [str(world.order)]
    assert found["orders"][0]["buyer"] == {"person": str(world.buyer.id), "name": "Anna-buyer"}
    assert get(world.owner, f"shops/{world.slug}/orders/")["orders"] == []
    one = get(world.owner, f"shops/{world.shop}/orders/{world.order}/")
    assert one == found["orders"][0]
    msgspec.convert(found, orders.Orders, strict=False)
    for path in ("orders/", f"orders/{world.order}/", "orders.csv"):
        get(None, f"shops/{world.slug}/{path}", 401)
        for stranger in (world.buyer, other.owner, other.buyer):
            assert get(stranger, f"shops/{world.slug}/{path}", 403)["code"] == "permission.denied"
    # one's own shop is no way to another's order
    assert get(other.owner, f"shops/{other.slug}/orders/{world.order}/", 404)["code"] == "order.unknown"
    assert str(world.order) not in str(get(other.owner, f"shops/{other.slug}/orders/?state=open"))
    get(world.owner, f"shops/{world.slug}/orders/?state=no", 400)


def test_orders_as_a_table(world: ShopWorld, other: ShopWorld) -> None:
    answer = client(world.owner).get(f"{API}shops/{world.slug}/orders.csv?state=open")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["order_id"] for row in rows] == [str(world.order)]
    foreign = client(other.owner).get(f"{API}shops/{other.slug}/orders.csv?state=open")
    assert str(world.order) not in foreign.content.decode()


def test_pictures_are_added_by_staff_to_their_own_products(world: ShopWorld, other: ShopWorld) -> None:
    from io import BytesIO

    def send(who: User | None, shop: str, product: UUID, data: bytes = b"no picture") -> Any:
        file = BytesIO(data)
        file.name = "a.png"
        return client(who).post(f"{API}shops/{shop}/products/{product}/media/", {"file": file})

    assert send(None, world.slug, world.product).status_code == 401
    assert send(world.buyer, world.slug, world.product).status_code == 403
    assert send(other.owner, world.slug, world.product).status_code == 403
    assert send(other.owner, other.slug, world.product).json()["code"] == "product.unknown"
    assert send(world.owner, world.slug, world.product).json()["code"] == "media.not_an_image"
    long = client(world.owner).post(
        f"{API}shops/{world.slug}/products/{world.product}/media/",
        {"file": BytesIO(b"no picture"), "alt": "x" * 201},
    )
    assert (long.status_code, long.json()["code"]) == (400, "command.invalid")
    json = client(world.owner).post(
        f"{API}shops/{world.slug}/products/{world.product}/media/", {}, content_type="application/json"
    )
    assert json.status_code == 415


def test_a_page_sends_pictures_with_its_csrf_token(world: ShopWorld, settings: Any, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    settings.MEDIA_ROOT = tmp_path
    file = BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    page = Client(enforce_csrf_checks=True)
    page.force_login(world.owner)
    token = page.get("/").cookies["csrftoken"].value
    path = f"{API}shops/{world.slug}/products/{world.product}/media/"

    def send(**headers: str) -> Any:
        file.seek(0)
        file.name = "a.png"
        return page.post(path, {"file": file, "alt": "Mittens"}, headers=headers)

    assert send().json()["code"] == "csrf.failed"
    answer = send(**{"X-CSRFToken": token})
    assert answer.status_code == 201, answer.content
    assert answer.json()["alt"] == "Mittens"


# Every read route, with a test above in which somebody of another shop asks. A new route is added here with its test.
ISOLATED = {
    "streams/<uuid:stream>/commands/<str:name>/",
    "streams/<uuid:stream>/snapshot/",
    "streams/<uuid:stream>/events/",
    "streams/<uuid:stream>/messages/",
    "me/",
    "me/panel/",
    "me/ticket/",
    "rooms/join/",
    "rooms/<uuid:room>/",
    "shops/",
    "shops/<str:shop>/",
    "shops/<str:shop>/products/",
    "shops/<str:shop>/products/<uuid:product>/media/",
    "shops/<str:shop>/rooms/",
    "shops/<str:shop>/orders/",
    "shops/<str:shop>/orders/<uuid:order>/",
    "shops/<str:shop>/orders.csv",
    "shops/<str:shop>/tickets/",
    "me/export/",
    "me/erasure/",
    "schema/",
    "docs/",
    "",
}


def test_no_route_is_forgotten() -> None:
    api = next(p for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/")
    assert {str(p.pattern) for p in api.url_patterns} == ISOLATED
