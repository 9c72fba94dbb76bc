"""An erasure that the person asks for: days to think again, a shop to hand over first, and nobody kept waiting."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from chat.log import clock, pump
from chat.log.errors import busy
from chat.messages.models import Message
from livesale.accounts.models import User
from livesale.backoffice.services import open_shop
from livesale.personal import erasure, export
from livesale.personal.models import Erasure
from tests.accounts.canaries import Place, confirm, found_in_tables

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def test_a_person_has_days_to_think_again(place: Place, mailoutbox: list[Any]) -> None:
    page = place.ada.page
    confirm(page)
    with clock.frozen() as time:
        assert page.get("/api/v1/me/erasure/").json() == {"erased_at": None, "days": 7}
        due = page.post("/api/v1/me/erasure/").json()["erased_at"]
        assert due == int((clock.now() + timedelta(days=7)).timestamp() * 1000)
        pump.pump_until_quiet()
        assert [mail.to for mail in mailoutbox][-1] == [place.ada.user.email]
        assert page.post("/api/v1/me/erasure/").json()["erased_at"] == due
        time.advance(6 * 86_400)
        assert erasure.carry_out_due() == 0
        assert page.delete("/api/v1/me/erasure/").json()["erased_at"] is None
        time.advance(2 * 86_400)
        assert erasure.carry_out_due() == 0
        assert User.objects.get(id=place.ada.id).is_active
        erasure.ask(place.ada.id)
        time.advance(7 * 86_400 + 1)
        assert erasure.carry_out_due() == 1
        assert not User.objects.get(id=place.ada.id).is_active


def test_who_owns_a_shop_hands_it_over_first(place: Place) -> None:
    page = place.ada.page
    page.force_login(place.owner, backend="django.contrib.auth.backends.ModelBackend")
    confirm(page)
    refused = page.post("/api/v1/me/erasure/")
    assert (refused.status_code, refused.json()["code"]) == (409, "person.owns_shop")
    with pytest.raises(CommandError, match="Shop"):
        call_command("erase_person", str(place.owner.id))
    place.do(place.shop, "shop.configure", contact_email="ask-olga@example.org")
    file = io.BytesIO()
    export.write(place.owner.id, file)
    assert b"ask-olga@example.org" in file.getvalue()
    call_command("erase_person", str(place.owner.id), "--even-owner", stdout=io.StringIO())
    assert found_in_tables("ask-olga") == {}
    assert found_in_tables("Olga") == {}


def test_who_has_opened_a_shop_meanwhile_stays_and_keeps_nobody_waiting(place: Place) -> None:
    with clock.frozen() as time:
        for who in (place.ada, place.bob):
            erasure.ask(who.id)
        open_shop(name="Of Ada", currency="EUR", owner_id=place.ada.id)
        time.advance(8 * 86_400)
        assert erasure.carry_out_due() == 1
    assert User.objects.get(id=place.ada.id).is_active
    assert not User.objects.get(id=place.bob.id).is_active


def test_one_erasure_that_cannot_be_done_now_keeps_no_other_waiting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = erasure.execute

    def busy_for_ada(stream: UUID, name: str, body: Any, **more: Any) -> Any:
        if body["person"] == place.ada.id:
            raise busy()
        return really(stream, name, body, **more)

    with clock.frozen() as time:
        for who in (place.ada, place.bob):
            erasure.ask(who.id)
        time.advance(8 * 86_400)
        monkeypatch.setattr(erasure, "execute", busy_for_ada)
        assert erasure.carry_out_due() == 1
        assert Erasure.objects.get(person_id=place.ada.id).done_at is None
        assert Erasure.objects.get(person_id=place.bob.id).done_at is not None
        monkeypatch.setattr(erasure, "execute", really)
        assert erasure.carry_out_due() == 1
        assert Erasure.objects.get(person_id=place.ada.id).done_at is not None
    assert not Message.objects.filter(author_id=place.ada.id).exclude(text="").exists()
