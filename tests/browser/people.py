"""Somebody in front of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page

from tests import processes

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PICTURES = processes.ROOT / "test-results"
WAIT = 15_000

World = dict[str, Any]
MakeWorld = Callable[..., World]


class Person:
    """Somebody with a device of their own. Whatever goes wrong in their page is kept in `troubles`."""

    def __init__(self, browser: Browser, server: processes.LiveProcess, name: str, **device: Any):
        self.name, self.base = name, server.base_url
        self.page: Page = browser.new_context(**({"locale": "en-GB"} | device)).new_page()
        self.page.set_default_timeout(WAIT)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda m: self.troubles.append(m.text) if m.type == "error" else None)
        self.page.on(
            "response", lambda r: self.troubles.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def sign_in(self, world: World, then: str) -> Page:
        self.open(f"/account/login?next={then}")
        self.page.fill("input[type=email]", f"{self.name}@{world['name']}.test")
        self.page.fill("input[type=password]", world["password"])
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.base + then)
        return self.page

    def say(self, text: str) -> None:
        box = self.page.get_by_placeholder("Write", exact=False)
        box.fill(text)
        box.press("Enter")

    def picture(self, what: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{what}-{self.name}.png")

    def leave(self) -> None:
        self.page.context.close()
