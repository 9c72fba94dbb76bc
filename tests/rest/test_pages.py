"""The documents that start the pages: what they say, to whom, and what they let in."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django_vite.core.asset_loader import DjangoViteAssetLoader
from PIL import Image
from uuid_utils.compat import uuid7

from tests.rest.world import ShopWorld, client, person

ENTRIES = ("home", "room", "host", "moderator", "account", "storefront")


@pytest.fixture(autouse=True)
def built(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages as after a build, without building."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        json.dumps(
            {
                f"{p}/main.ts": {"file": f"assets/{p}.js", "src": f"{p}/main.ts", "isEntry": True}
                for p in ENTRIES
            }
        )
    )
    use_manifest(settings, monkeypatch, manifest)


def use_manifest(settings: Any, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    settings.DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": path}}
    monkeypatch.setattr(DjangoViteAssetLoader, "_instance", None)


def boot(answer: Any) -> dict[str, Any]:
    found = re.search(r'<script id="boot" type="application/json">(.*?)</script>', answer.content.decode())
    assert found, answer.content.decode()
    made: dict[str, Any] = json.loads(found[1])
    return made


def test_the_id_of_a_shop_leads_to_its_page(world: ShopWorld) -> None:
    answer = client(None).get(f"/s/{world.shop}/")
    assert (answer.status_code, answer["Location"]) == (302, f"/s/{world.slug}/")
    assert client(None).get(f"/s/{world.room}/").status_code == 404


def test_every_page_opens_for_those_who_may(world: ShopWorld) -> None:
    code = world.do(world.closed, "invite.create")["code"]
    pages = {
        "/": "home",
        f"/r/{world.room}/": "room",
        f"/s/{world.slug}/": "storefront",
        "/host/": "host",
        f"/host/{world.room}/": "host",
        f"/mod/{world.room}/": "moderator",
        "/account/": "account",
        "/account/login": "account",
        "/account/signup": "account",
        "/account/verify/MQ:1:abc": "account",
        "/account/password/reset": "account",
        "/account/password/reset/1-abc": "account",
        f"/i/{code}/": "home",
    }
    made = client(world.owner)
    for address, page in pages.items():
        answer = made.get(address)
        assert answer.status_code == 200, address
        facts = boot(answer)
        assert facts["page"] == page
        assert facts["person"] == {"id": str(world.owner.id), "name": world.owner.name}
        assert facts["csrf"]
        assert answer.cookies["csrftoken"].value
        assert "no-store" in answer["Cache-Control"]
        assert "script-src" not in answer["Content-Security-Policy"]  # default-src 'self' speaks for scripts
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"


def test_a_room_tells_about_itself_only_where_it_is_open(world: ShopWorld) -> None:
    guest = client()
    open_room = guest.get(f"/r/{world.room}/")
    assert f"<title>{'Room of Anna'}</title>" in open_room.content.decode()
    assert boot(open_room)["shop"] == str(world.shop)
    assert "X-Robots-Tag" not in open_room
    closed, unknown = guest.get(f"/r/{world.closed}/"), guest.get(f"/r/{uuid7()}/")
    for answer in (closed, unknown):
        assert answer.status_code == 404
        assert answer["X-Robots-Tag"] == "noindex"
        assert boot(answer)["shop"] is None
        assert b"Anna" not in answer.content
    inside = client(world.owner).get(f"/r/{world.closed}/")
    assert inside.status_code == 200
    assert "X-Robots-Tag" in inside
    # what a preview of the link would show stays inside
    assert b"<title>livesale</title>" in inside.content


def test_the_hosts_pages_are_the_hosts(world: ShopWorld, other: ShopWorld) -> None:
    for address in ("/host/", f"/host/{world.room}/", f"/mod/{world.room}/"):
        answer = client().get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/login?next=%2F")
    for address in (f"/host/{world.room}/", f"/mod/{world.room}/"):
        for stranger in (other.owner, world.buyer):
            assert client(stranger).get(address).status_code == 404
    assert boot(client(other.owner).get("/host/"))["shop"] == str(other.shop)
    assert boot(client(world.buyer).get("/host/"))["shop"] is None


def test_an_invitation_names_its_room_to_who_has_the_code(world: ShopWorld) -> None:
    code = world.do(world.closed, "invite.create")["code"]
    answer = client().get(f"/i/{code}/")
    assert boot(answer)["invite"] == {"code": code, "name": "Closed of Anna"}
    assert answer["X-Robots-Tag"] == "noindex"
    assert client().get("/i/nothing/").status_code == 409
    world.do(world.closed, "invite.revoke", code=code)
    assert client().get(f"/i/{code}/").status_code == 409


def test_video_hosts_are_let_in_where_there_is_video(world: ShopWorld, settings: Any) -> None:
    room = client().get(f"/r/{world.room}/")["Content-Security-Policy"]
    home = client().get("/")["Content-Security-Policy"]
    assert "youtube-nocookie" in room
    assert "frame-src 'none'" in home
    assert "media-src 'none'" in home


def test_names_cannot_leave_their_place(db: None) -> None:
    eve = person("Eve")
    eve.name = "</script><script>alert(1)</script>"
    eve.save()
    answer = client(eve).get("/")
    assert boot(answer)["person"]["name"] == eve.name
    assert b"<script>alert" not in answer.content


def test_pages_speak_the_persons_language(db: None) -> None:
    eve = person("Eve")
    assert 'lang="de"' in client(eve).get("/", headers={"accept-language": "de"}).content.decode()
    eve.language = "zh-hans"
    eve.save()
    answer = client(eve).get("/", headers={"accept-language": "de"})
    assert 'lang="zh-hans"' in answer.content.decode()
    assert answer["Content-Language"] == "zh-hans"


def test_pages_that_were_not_built_say_so(
    db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_manifest(settings, monkeypatch, tmp_path / "missing.json")
    answer = client().get("/")
    assert answer.status_code == 503
    assert b"make build" in answer.content


def test_what_is_not_there(db: None) -> None:
    for address in ("/nothing/", "/s/nothing/", "/r/1/", "/media/../manage.py", "/media/shops/a/b.webp"):
        answer = client().get(address)
        assert answer.status_code == 404
        assert answer["Content-Type"].startswith("text/plain")
    assert "Disallow: /api/" in client().get("/robots.txt").content.decode()
    assert client().post("/").status_code == 405


def test_pictures_are_served_for_good(world: ShopWorld, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    out = BytesIO()
    Image.new("RGB", (40, 40)).save(out, "PNG")
    out.seek(0)
    out.name = "a.png"
    added = client(world.owner).post(
        f"/api/v1/shops/{world.shop}/products/{world.product}/media/", {"file": out, "alt": "A scarf"}
    )
    assert added.status_code == 201, added.content
    address = added.json()["renditions"]["160"]
    answer = client().get(address)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/webp"
    assert "immutable" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert client().get(address.replace("160", "161")).status_code == 404


def test_a_picture_that_cannot_be_read_is_not_there_and_in_the_log(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MEDIA_ROOT = tmp_path
    shop, media = uuid7(), uuid7()
    # whoever runs the tests may be root, whom no file is kept from
    (tmp_path / f"shops/{shop}/media/{media}/160.webp").mkdir(parents=True)
    assert client().get(f"/media/shops/{shop}/media/{media}/160.webp").status_code == 404
    (told,) = [record for record in caplog.records if record.name == "livesale.media"]
    assert told.levelname == "ERROR"
    assert str(media) in told.getMessage()
    assert client().get(f"/media/shops/{shop}/media/{media}/320.webp").status_code == 404
    assert len([record for record in caplog.records if record.name == "livesale.media"]) == 1
