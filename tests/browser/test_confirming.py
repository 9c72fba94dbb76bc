"""Whose address is not confirmed is told so in their page, and what the link in the mail does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.people import PHONE, Person
from tests.browser.test_access import barriers
from tests.processes import LiveProcess, manage

ADDRESS = "cleo@confirming.test"
KEY = (
    "from allauth.account.models import EmailAddress, EmailConfirmationHMAC as Link; "
    f"print('key', Link(EmailAddress.objects.get(email='{ADDRESS}')).key)"
)


@pytest.mark.browser
def test_an_address_is_confirmed_by_its_owner(person: Callable[..., Person], server: LiveProcess) -> None:
    cleo = person("cleo", **PHONE)
    page = cleo.open("/account/signup")
    page.get_by_label("Name").fill("Cleo")
    page.get_by_label("E-mail").fill(ADDRESS)
    page.get_by_label("Password").fill("correct horse 7")
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_url("**/")

    cleo.open("/account/")
    expect(page.get_by_text(f"{ADDRESS} is not confirmed yet.")).to_be_visible()
    assert barriers(page, "not confirmed") == []
    # one has gone out when they signed up
    page.get_by_role("button", name="Send the mail again").click()
    expect(page.get_by_role("status")).to_contain_text("a moment ago")
    cleo.picture("not-confirmed")

    key = manage(server.env, "shell", "-c", KEY).rpartition("key ")[2].strip()
    cleo.open(f"/account/verify/{key}")
    expect(page.get_by_role("status")).to_contain_text("Your address is confirmed")
    cleo.open("/account/")
    expect(page.get_by_role("textbox", name="Name")).to_be_visible()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("is not confirmed yet")).to_have_count(0)
    assert [t for t in cleo.troubles if "403" not in t] == []
