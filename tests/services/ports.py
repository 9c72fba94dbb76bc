"""Free ports that runs beside each other do not take from one another."""

from __future__ import annotations

import os
import random
import socket

HOST = "127.0.0.1"


# Ports are bound a while after they were chosen, and bound again after a kill: runs beside each other, and the workers
# of one, choose from different ones, and nobody chooses one twice.
_SHARES = 16
_chosen: set[int] = set()


def _share() -> int:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    half = _SHARES // 2
    return int(worker) % half if worker.isdigit() else half + os.getpid() % half


def free_port() -> int:
    """A free port below the range that outgoing connections take theirs from: it can be bound again after a kill."""
    if len(_chosen) > 500:
        # most of those have ended long ago
        _chosen.clear()
    for _ in range(400):
        port = random.randint(20_000 // _SHARES, 32_000 // _SHARES - 1) * _SHARES + _share()
        if port in _chosen:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _chosen.add(port)
        return port
    raise RuntimeError("no free port found")
