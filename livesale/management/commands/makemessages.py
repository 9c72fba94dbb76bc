"""`manage.py makemessages -l de -l zh_Hans`: the texts of all our packages, into livesale/locale.

Beside gettext's own functions it collects the sentences of error codes: `describe("code", "Sentence {param}")`.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

PACKAGES = ("livesale", "chat", "commerce")


class Command(makemessages.Command):
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=describe:2"]
    # A new text starts untranslated, not with the translation of one that looks similar.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # Line numbers would change with every edit of the code, obsolete texts are in git.
        parser.set_defaults(add_location="file", no_obsolete=True)

    def handle(self, *args: Any, **options: Any) -> None:
        with chdir(settings.BASE_DIR):
            super().handle(*args, **options)

    def build_potfiles(self) -> list[str]:
        """Without the time of collecting: where no text changed, no file does."""
        paths = super().build_potfiles()
        for path in map(Path, paths):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith('"POT-Creation-Date:')]
            path.write_text("".join(kept), encoding="utf-8")
        return paths

    def find_files(self, root: str) -> list[makemessages.TranslatableFile]:
        """Those of our packages only, whatever else lies in the checkout; all texts go into one place."""
        found: list[makemessages.TranslatableFile] = []
        for package in PACKAGES:
            found += super().find_files(os.path.join(root, package))
        self.locale_paths = [str(settings.LOCALE_PATHS[0])]
        for file in found:
            file.locale_dir = self.locale_paths[0]
        return sorted(found)
