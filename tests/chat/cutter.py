"""A wire to PostgreSQL that can be cut exactly around COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from typing import Self


class Cutter:
    """A TCP relay on `port`. `plan` says what happens at the next COMMITs, one word each.

    `before`: the link is cut and COMMIT never arrives. `after`: it arrives and is carried out; the answer is lost.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.plan: list[str] = []
        self.cuts: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._links: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for link in [self._listener, *self._links]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._links += [client, server]
                lose_answer = threading.Event()
                self._start(self._questions, client, server, lose_answer)
                self._start(self._answers, client, server, lose_answer)

    def _questions(self, client: socket.socket, server: socket.socket, lose_answer: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data and self.plan:
                    cut = self.plan.pop(0)
                    self.cuts[cut] += 1
                    if cut == "before":
                        break
                    lose_answer.set()
                server.sendall(data)
        self._cut(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, lose_answer: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lose_answer.is_set():
                    break
                client.sendall(data)
        self._cut(client, server)

    @staticmethod
    def _cut(*links: socket.socket) -> None:
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
