"""The browser that tests use."""

from __future__ import annotations

import os
import shutil

from tests.services.programs import MissingPart


def find_chromium() -> str:
    names = [os.environ.get("TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    for path in filter(None, (shutil.which(name) for name in names if name)):
        return path
    raise MissingPart("Chromium is not installed (`make test` does that) and TEST_CHROMIUM names none")
