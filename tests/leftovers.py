"""Whether anything of a batch outlives it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chat.log.batch import Batch, Part


@contextmanager
def nothing_left(monkeypatch: pytest.MonkeyPatch, *kinds: type) -> Iterator[None]:
    """With the collector off no batch, no part of one, and none of `kinds` is left by what is done inside."""
    # a handler of pytest's keeps each record, with the error in it
    monkeypatch.setattr(logging.getLogger("chat.log.transaction"), "disabled", True)

    def living() -> list[object]:
        return [one for one in gc.get_objects() if issubclass(type(one), (Batch, Part, *kinds))]

    gc.collect()
    gc.disable()
    try:
        before = {id(one) for one in living()}
        yield
        assert [type(one).__name__ for one in living() if id(one) not in before] == []
    finally:
        gc.enable()
