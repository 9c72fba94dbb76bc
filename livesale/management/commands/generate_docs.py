"""`manage.py generate_docs [--check]`: the documents that are made from the code."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from livesale.documents import asyncapi, wire
from livesale.rest import docs


def _openapi() -> str:
    return json.dumps(json.loads(docs.document()), indent=1, ensure_ascii=False) + "\n"


def documents(root: Path) -> dict[Path, Callable[[], str]]:
    """Each generated file and what makes it."""
    return {
        root / "docs" / "wire.md": lambda: wire.text(root / "tests" / "wire" / "golden"),
        root / "docs" / "asyncapi.json": asyncapi.text,
        root / "docs" / "openapi.json": _openapi,
    }


class Command(BaseCommand):
    help = "Write docs/wire.md, docs/asyncapi.json and docs/openapi.json from the code."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail when a file is not current"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stale = []
        for path, make in documents(settings.BASE_DIR).items():
            made = make()
            if path.exists() and path.read_text() == made:
                continue
            stale.append(str(path.relative_to(settings.BASE_DIR)))
            if not options["check"]:
                path.write_text(made)
        if options["check"] and stale:
            raise CommandError(f"not current: {', '.join(stale)}; run `manage.py generate_docs`")
        if not options["check"]:
            self.stdout.write(f"written: {', '.join(stale)}" if stale else "all current")
