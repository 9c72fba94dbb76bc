"""What the site holds of somebody, in a file, and the end of it: with their password only, and not at once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.people import PHONE, Person
from tests.browser.test_access import barriers

PASSWORD = "correct horse 7"


@pytest.mark.browser
def test_my_data_is_mine_and_goes_when_i_say_so(person: Callable[..., Person]) -> None:
    ada = person("ada", **PHONE)
    page = ada.open("/account/signup")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@my-data.test")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_url("**/")
    ada.open("/account/")

    # whoever finds an open phone has no password
    page.get_by_label("Password").fill("a guess of mine")
    page.get_by_role("button", name="Download my data").click()
    expect(page.get_by_role("alert")).to_be_visible()
    ada.picture("my-data-1-guess")
    assert barriers(page, "my data") == []

    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    assert "ada@my-data.test" in json.dumps(json.loads(download.value.path().read_text()))

    # asked whether they are sure; "no" changes nothing
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("button", name="Keep my account")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("status").get_by_text("will be deleted")).to_be_visible()
    ada.picture("my-data-2-leaving")
    assert barriers(page, "leaving") == []

    # a week to think it over
    page.reload()
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_role("button", name="Delete my account")).to_be_visible()
    expect(page.get_by_role("button", name="Keep my account")).to_have_count(0)
    assert [t for t in ada.troubles if "400" not in t and "403" not in t] == []
