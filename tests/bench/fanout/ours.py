"""The product itself for the benchmark: the real application, with named limits lifted and all else as it is.

uvicorn tests.bench.fanout.ours:application      FANOUT_LIFT=socket-rate,tick
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from livesale.asgi import application
from tests.bench.fanout.lifts import AFTER_JOINING, LIFTS

_wanted = set(filter(None, os.environ.get("FANOUT_LIFT", "").split(",")))


def _all_joined(_number: int, _frame: FrameType | None) -> None:
    for name in _wanted & AFTER_JOINING:
        LIFTS[name]()


for _name in _wanted - AFTER_JOINING:
    LIFTS[_name]()
signal.signal(signal.SIGUSR1, _all_joined)

__all__ = ["application"]
