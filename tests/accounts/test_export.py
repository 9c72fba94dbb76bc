"""People get all that is theirs in a file, and nothing else."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command

from chat.messages.models import Message
from livesale.accounts.models import User
from livesale.personal import export
from livesale.rest import throttle
from tests.accounts.canaries import Place, confirm

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def file_of(person_id: UUID) -> tuple[dict[str, Any], str]:
    out = io.BytesIO()
    export.write(person_id, out)
    text = out.getvalue().decode()
    return json.loads(text), text


def downloaded(answer: Any) -> bytes:
    async def gather() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return async_to_sync(gather)()


def test_a_person_gets_every_word_of_theirs_and_none_of_anybody_elses(place: Place) -> None:
    for mine, other in ((place.ada, place.bob), (place.bob, place.ada)):
        data, text = file_of(mine.id)
        assert other.word not in text
        assert str(other.id) not in text
        assert str(place.owner.id) not in text
        said = {
            mine.said(w) for w in (
                "name", "text-0", "text-1", "text-2", "external", "note", "phone", "street", "city", "sanction",
                "audit", "report", "refund", "alone", "shared", "about", "announcement",
            )
        } | {mine.user.email, f"{mine.word}-contact@example.org"}  # fmt: skip
        assert {word for word in said if word not in text} == set()
        assert len(data["messages"]) == 7
        assert {row["id"] for row in data["orders"]} >= {str(o) for o in mine.orders}
        assert data["person"][0]["name"] == mine.said("name")
        assert data["format"] == "livesale.person"


def test_a_text_that_was_deleted_is_not_in_the_file(place: Place) -> None:
    gone, left = place.ada.messages[0], place.ada.messages[1]
    place.do(place.room, "message.delete", message=gone)
    data, text = file_of(place.ada.id)
    told = {row["id"]: row for row in data["messages"]}
    assert told[gone]["text"] == ""
    assert told[gone]["deleted_at"] is not None
    assert told[left]["text"] == place.ada.said("text-1")
    # said in the other room, too
    assert text.count(place.ada.said("text-0")) == 1


def test_nothing_that_proves_who_one_is_leaves(place: Place) -> None:
    _, text = file_of(place.ada.id)
    user = User.objects.get(id=place.ada.id)
    assert user.password not in text
    for session in Session.objects.all():
        assert session.session_key not in text


def test_a_file_is_written_without_holding_it_in_memory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many messages as wanted: no more rows than one piece are read before they are written."""
    monkeypatch.setattr(export, "ROWS", 10)
    first = Message.objects.filter(author_id=place.ada.id).first()
    assert first is not None
    Message.objects.bulk_create(
        Message(
            id=UUID(int=n + 1),
            tenant_id=first.tenant_id,
            room_id=first.room_id,
            author_id=place.ada.id,
            text=f"one of many {n}",
            at=first.at,
        )
        for n in range(500)
    )
    lengths: list[int] = []

    class Out(io.BytesIO):
        def write(self, data: Any) -> int:
            lengths.append(len(data))
            return super().write(data)

    out = Out()
    export.write(place.ada.id, out)
    assert len(json.loads(out.getvalue())["messages"]) == 507
    assert max(lengths) < 2_000


def test_the_page_wants_the_password_once_more(place: Place) -> None:
    page = place.ada.page
    for age in (None, 301):
        if age is not None:
            assert confirm(page) == 200
            session = page.session
            session["account_authentication_methods"][-1]["at"] -= age
            session.save()
        refused = page.get("/api/v1/me/export/")
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.confirm")
        assert page.post("/api/v1/me/erasure/").json()["code"] == "auth.confirm"
    assert confirm(page, "not it at all") == 400
    assert page.get("/api/v1/me/export/").status_code == 403
    assert confirm(page) == 200
    answer = page.get("/api/v1/me/export/")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Cache-Control"] == "no-store"
    text = downloaded(answer).decode()
    assert int(answer["Content-Length"]) == len(text.encode())
    assert json.loads(text)["id"] == str(place.ada.id)


def test_a_file_is_dear_and_cannot_be_asked_for_all_day(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no full hour, at which one may ask anew, falls in between
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: 30.0))
    confirm(place.ada.page)
    codes = []
    for _ in range(6):
        answer = place.ada.page.get("/api/v1/me/export/")
        codes.append(answer.status_code)
        if answer.status_code == 200:
            assert downloaded(answer)
    assert codes == [200] * 5 + [429]


def test_the_operator_writes_a_file(place: Place, tmp_path: Any) -> None:
    path = tmp_path / "ada.json"
    call_command("export_person", place.ada.user.email, str(path), stdout=io.StringIO())
    assert json.loads(path.read_text())["id"] == str(place.ada.id)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError):
        call_command("export_person", place.ada.user.email, str(path), stdout=io.StringIO())
    with pytest.raises(CommandError, match="no such person"):
        call_command("export_person", "nobody@example.org", str(tmp_path / "x"))
