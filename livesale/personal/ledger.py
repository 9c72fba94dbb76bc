"""The list of erasures beside the database: a backup that is put back does not know of those that came after it.

One line per person: when, and an id that names nobody any more. It is written, to the disk, before anything is erased.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

NAME = "erasures.txt"
# A command that was run as somebody else, root mostly, made it.
NOT_OURS = "may not be read and written by this user: give it to the one that the processes run as (chown livesale:)."


def path() -> Path:
    """Where this installation has its list."""
    return Path(settings.ERASURES_FILE)


def note(person_id: UUID, at: datetime) -> None:
    """Write down that a person is erased; once, however often they are."""
    if person_id not in read([path()]):
        _append(path(), {person_id: at})


def read(files: Iterable[Path]) -> dict[UUID, datetime]:
    """Who was erased and when, by these lists; one that does not exist is empty."""
    found: dict[UUID, datetime] = {}
    for file in files:
        try:
            file.stat()
        except FileNotFoundError:
            continue
        must_be_ours(file)
        for line in file.read_text().splitlines():
            at, _, who = line.strip().partition(" ")
            try:
                found.setdefault(UUID(who), datetime.fromisoformat(at))
            except ValueError:
                # a line that was torn by a crash: what it meant was not begun, and is asked for again
                continue
    return found


def is_ours(file: Path) -> bool:
    """Whether this process may read and write a list, or make one that does not exist yet."""
    if os.path.exists(file):
        return file.is_file() and os.access(file, os.R_OK | os.W_OK)
    folder = next((folder for folder in file.parents if os.path.exists(folder)), file)
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def must_be_ours(file: Path) -> None:
    if not is_ours(file):
        raise PermissionError(f"{file} {NOT_OURS}")


def copy_to(folder: Path, known: dict[UUID, datetime]) -> None:
    """Bring the list in a folder up to date: beside a backup it is at hand when that is put back."""
    target = folder / NAME
    missing = {who: at for who, at in known.items() if who not in read([target])}
    if missing:
        _append(target, missing)


def _append(file: Path, entries: dict[UUID, datetime]) -> None:
    new = not file.exists()
    must_be_ours(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{at.isoformat()} {who}\n" for who, at in entries.items())
    # the newline first: a line that was torn before must not swallow this one
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        os.write(handle, (text if new else "\n" + text).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
