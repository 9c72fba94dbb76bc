"""What the benchmark may lift of the product's limits, by name: few sockets send what many people do in life."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_NONE = 10**9


def _set(module_name: str, attribute: str, value: Any) -> None:
    module = importlib.import_module(module_name)
    if not hasattr(module, attribute):
        raise RuntimeError(f"{module_name}.{attribute} is not there any more: the benchmark must be mended")
    setattr(module, attribute, value)


def _socket_rate() -> None:
    _set("chat.realtime.limits", "RATE", float(_NONE))
    _set("chat.realtime.limits", "BURST", _NONE)


def _message_rate() -> None:
    _set("chat.rooms.book", "RATE_LIMIT", _NONE)


def _room_ceiling() -> None:
    _set("chat.rooms.book", "CEILING", _NONE)


def _no_gathering() -> None:
    """A message is committed when it comes, and leaves when it is committed."""
    _set("chat.log.lane", "GATHER", 0.0)
    _no_pause("chat.realtime.log_lane", "TICK", "log_fanout")


def _no_pause(module: str, constant: str, lane: str) -> None:
    """No pause between two fan-outs, in the streams that are followed already and in those to come."""
    from livesale.serving import server

    _set(module, constant, 0.0)
    # nor the rest that a long fan-out takes
    _set("chat.realtime.fanout", "REST", 0.0)
    if server.hub_or_none is not None:
        for watch in server.hub_or_none._watches.values():
            getattr(watch, lane).pause = 0.0


LIFTS: dict[str, Callable[[], None]] = {
    "socket-rate": _socket_rate,
    "message-rate": _message_rate,
    "room-ceiling": _room_ceiling,
    "tick": _no_gathering,
    "signal-tick": lambda: _no_pause("chat.realtime.watch", "SIGNAL_TICK", "signal_fanout"),
}
SAID = {
    "socket-rate": "the frames per second of one socket",
    "message-rate": "the messages per 10 s of one person",
    "room-ceiling": "the messages per 2 s that a room shows",
    "tick": "the pauses in which messages gather, before a commit and between two fan-outs of the log lane",
    "signal-tick": "the signal lane's pause between two fan-outs",
}
# Lifted when everybody has joined: without ticks every newcomer's viewer count would be a fan-out of its own.
AFTER_JOINING = {"tick", "signal-tick"}
