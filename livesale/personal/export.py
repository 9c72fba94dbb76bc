"""Everything that is somebody's, as one JSON file, written row by row however much it is."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any
from uuid import UUID

import msgspec
from asgiref.sync import sync_to_async
from django.db import models

from chat.log import clock
from livesale.personal.register import TABLES

VERSION = 1
# Rows held in memory at a time, and bytes sent at a time.
ROWS = 1_000
PIECE = 64 * 1024

_encode = msgspec.json.Encoder().encode


def write(person_id: UUID, out: IO[bytes]) -> None:
    """Write the file of a person: `{"format", "version", "made_at", <section>: [row, …], …}`.

    A section is what one table holds of them. In it are their own words and the facts of their rows; other people are
    not even named by their ids.
    """
    head = {"format": "livesale.person", "version": VERSION, "made_at": clock.now(), "id": person_id}
    out.write(_encode(head)[:-1])
    for table in TABLES.values():
        for part in table.parts:
            if not part.name:
                continue
            columns = table.exported(part)
            names = [table.model._meta.get_field(name).attname for name in columns]  # type: ignore[union-attr]
            rows = table.rows(part, person_id).order_by("pk").values_list(*names)
            out.write(b"," + _encode(part.name) + b":[")
            for count, row in enumerate(rows.iterator(chunk_size=ROWS)):
                out.write(b",\n" if count else b"\n")
                out.write(_encode(dict(zip(columns, map(_plain, row), strict=True))))
            out.write(b"]")
    out.write(b"}\n")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, models.fields.files.FieldFile) else value


def to_file(person_id: UUID) -> IO[bytes]:
    """The file of a person, without a name on the disk, ready to be read."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
    try:
        write(person_id, file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file in pieces; it is closed after the last. Asynchronous, because Django would gather the others first."""
    try:
        while piece := await sync_to_async(file.read)(PIECE):
            yield piece
    finally:
        file.close()
