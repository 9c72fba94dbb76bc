"""The kernel's part: how much may wait there for one client, and the same bytes to many connections."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any, Protocol, TypeVar

logger = logging.getLogger(__name__)

# Bytes; Linux doubles it. Left alone, the kernel would hide megabytes of what a slow client has not read.
SEND_BUFFER = 128 * 1024


# What a write says when the kernel has no room now; everything else means that the connection is gone.
NO_ROOM = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


class Direct(Protocol):
    """A writer that sends to the kernel itself, while nothing waits in the buffer of its server."""

    def leave(self, rest: bytes) -> None:
        """Give the server what the kernel has no room for."""
        ...

    def abort(self) -> None: ...


T = TypeVar("T")
W = TypeVar("W", bound=Direct)


def limit_send_buffer(connection: Any) -> None:
    """Bound what the kernel takes for a connection that nobody reads."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def write_to(writer: Direct, wire: bytes, send: Callable[[T, bytes], int], to: T) -> None:
    """Write to one that is free, by `send(to, wire)`, which gives the bytes that the kernel has taken."""
    result: int | OSError
    try:
        result = send(to, wire)
    except OSError as error:
        result = error
    if result != len(wire):
        _follow_up(writer, wire, result)


def write_to_all(
    writers: Sequence[W], free: Sequence[W], wire: bytes, send: Callable[[T, bytes], int], to: Sequence[T]
) -> list[W]:
    """Write to those of the writers that are free, to each by `send` with its own `to`.

    Returns the others, and those for which something was raised that is no OSError.

    The calls come one after the other without the interpreter in between: after each trip into the kernel it would
    begin with cold caches, which costs a quarter of the trip.
    """
    refused = [] if len(free) == len(writers) else _others(writers, free)
    results: list[int | Exception] = []
    while len(results) < len(to):
        try:
            # what came before an exception is in the list
            results.extend(map(send, to[len(results) :], repeat(wire)))
        except Exception as error:
            results.append(error)
    if results.count(len(wire)) < len(results):
        for writer, result in zip(free, results, strict=True):
            if isinstance(result, Exception) and not isinstance(result, OSError):
                refused.append(writer)
            elif result != len(wire):
                _follow_up(writer, wire, result)
    return refused


def _others(writers: Sequence[W], some: Sequence[W]) -> list[W]:
    known = set(map(id, some))
    return [writer for writer in writers if id(writer) not in known]


def _follow_up(writer: Direct, wire: bytes, result: int | OSError) -> None:
    """What becomes of a frame that the kernel has not taken whole. Never raises: the others must have theirs."""
    try:
        if isinstance(result, int):
            writer.leave(wire[result:])
        elif result.errno in NO_ROOM:
            writer.leave(wire)
        else:
            # a frame is missing now: nothing may follow it
            writer.abort()
    except Exception:
        # what the server has of it nobody knows
        logger.exception("the rest of a frame could not be left to the server")
        with suppress(Exception):
            writer.abort()
