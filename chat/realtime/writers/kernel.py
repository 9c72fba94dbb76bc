"""The kernel's part of what may wait for one client."""

from __future__ import annotations

import errno
import socket
from typing import Any

# Bytes; Linux doubles it. Left alone, the kernel would hide megabytes of what a slow client has not read.
SEND_BUFFER = 128 * 1024


# What a write says when the kernel has no room now; everything else means that the connection is gone.
NO_ROOM = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


def limit_send_buffer(connection: Any) -> None:
    """Bound what the kernel takes for a connection that nobody reads."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
