"""A proxy for TCP that does to links what networks do: cuts, black holes, delays, a cut at the very word COMMIT.

with Proxy("127.0.0.1", 5432) as proxy:     # whoever connects to proxy.port is connected on
    proxy.hold()                            # nothing passes, nobody is told
    proxy.flow()
    caught = proxy.cut_at(COMMIT_ASKED)     # once: the link on which this passes is cut there
    caught.wait(5)

All proxies of a process share one thread. Every method may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

from tests import services

T = TypeVar("T")
Way = Literal["to_server", "to_client"]
WAYS: tuple[Way, ...] = ("to_server", "to_client")
How = Literal["rst", "fin"]

# More than this waits in the kernel, as on a link that is full.
MOST_HELD = 256 * 1024


@dataclass(frozen=True)
class Pattern:
    """Bytes on their way; with `passes` they still arrive before the link is cut."""

    way: Way
    bytes: bytes
    passes: bool = False


# PostgreSQL: a transaction whose COMMIT never arrived; one that was committed, but nobody was told; one of which the
# client cannot know.
COMMIT_ASKED = Pattern("to_server", b"COMMIT\0")
COMMIT_DONE = Pattern("to_client", b"C\0\0\0\x0bCOMMIT\0")
COMMIT_SENT = Pattern("to_server", b"COMMIT\0", passes=True)


@dataclass
class Trap:
    """Where a link is to be cut, and whether it has been."""

    pattern: Pattern
    # only on a link that has carried this to the server before
    after: bytes
    left: int
    caught: int = 0
    enough: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        """Whether all cuts have been made, within so many seconds."""
        return self.enough.wait(seconds)


@dataclass
class _Rules:
    """How bytes pass in one direction."""

    held: bool = False
    delay: float = 0.0
    rate: float = 0.0


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="proxies", daemon=True).start()
    return loop


class Proxy:
    """One listening port, in front of one address."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = services.free_port()
        self.links: set[_Link] = set()
        self.traps: list[Trap] = []
        self.rules: dict[Way, _Rules] = {way: _Rules() for way in WAYS}
        self.refusing: How | None = None
        # connections that were ever asked for
        self.asked = 0
        self._server: asyncio.Server | None = None
        self._await(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self, self._target), services.HOST, self.port)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, _loop()).result(20)

    def _do(self, act: Callable[[], T]) -> T:
        async def work() -> T:
            return act()

        return self._await(work())

    def close(self) -> None:
        def act() -> None:
            assert self._server is not None
            self._server.close()
            self._cut("rst")

        self._do(act)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what may happen to links ---------------------------------------------------------------------------------

    def cut(self, how: How = "rst") -> int:
        """End all links that there are; new ones are let in. How many there were."""
        return self._do(lambda: self._cut(how))

    def _cut(self, how: How) -> int:
        links = list(self.links)
        for link in links:
            link.cut(how)
        return len(links)

    def refuse(self, how: How = "rst") -> None:
        """End all links, and new ones as soon as they come."""

        def act() -> None:
            self.refusing = how
            self._cut(how)

        self._do(act)

    def hold(self, *ways: Way) -> None:
        """A black hole: nothing passes these ways (both), and nobody is told. New links are accepted, and held."""
        self._rule(*ways, held=True)

    def slow(self, *ways: Way, delay: float = 0.0, rate: float = 0.0) -> None:
        """Everything comes so many seconds later, and at most so many bytes a second."""
        self._rule(*ways, delay=delay, rate=rate)

    def _rule(self, *ways: Way, **rules: Any) -> None:
        def act() -> None:
            for way in ways or WAYS:
                self.rules[way] = _Rules(**rules)
                for link in self.links:
                    link.pipes[way].ruled()

        self._do(act)

    def flow(self) -> None:
        """As if nothing had been: what was held arrives, links are let in, traps are put away."""

        def act() -> None:
            self.refusing = None
            self.traps.clear()

        self._do(act)
        self._rule()

    def cut_at(self, pattern: Pattern, *, after: bytes = b"", times: int = 1) -> Trap:
        """Cut the next links (`times` of them) on which this passes; only those that carried `after` before."""
        trap = Trap(pattern, after, times)
        self._do(lambda: self.traps.append(trap))
        return trap


class _Pipe:
    """One direction of a link."""

    def __init__(self, link: _Link, way: Way) -> None:
        self._link = link
        self._way: Way = way
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._free_at = 0.0
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None
        self._source: asyncio.Transport | None = None
        self._goal: asyncio.Transport | None = None
        self._ended = False

    @property
    def _rules(self) -> _Rules:
        return self._link.proxy.rules[self._way]

    def begins(self, transport: asyncio.Transport) -> None:
        self._source = transport
        self.ruled()

    def ends(self, transport: asyncio.Transport) -> None:
        self._goal = transport
        self._run()

    def take(self, data: bytes) -> None:
        seen = self._tail + data
        trap = self._link.trap(self._way, seen)
        if trap is not None and not trap.pattern.passes:
            self._link.cut("rst")
            return
        self._tail = seen[-64:]
        rules, now = self._rules, time.monotonic()
        if rules.rate:
            self._free_at = max(now, self._free_at) + len(data) / rules.rate
        self._waiting.append((max(now, self._free_at) + rules.delay, data))
        self._held += len(data)
        self._run()
        if trap is not None:
            # the server still gets what was sent, and then an end; nobody hears its answer
            self._link.half_cut()

    def ruled(self) -> None:
        """The rules have changed."""
        self._free_at = 0.0
        now = time.monotonic()
        if not (self._rules.delay or self._rules.rate):
            self._waiting = deque((now, data) for _, data in self._waiting)
        self._run()

    def finish(self) -> None:
        """No more will come: close the other end when all has left."""
        self._ended = True
        self._run()

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, now = self._rules.held, time.monotonic()
        while self._waiting and self._goal is not None and not held and self._waiting[0][0] <= now:
            _, data = self._waiting.popleft()
            self._held -= len(data)
            self._goal.write(data)
        if self._source is not None and not self._source.is_closing():
            if held or self._held > MOST_HELD:
                self._source.pause_reading()
            else:
                self._source.resume_reading()
        if self._waiting and not held and self._goal is not None:
            later = max(0.0, self._waiting[0][0] - now)
            self._timer = _loop().call_later(later, self._run)
        elif self._ended and not self._waiting and self._goal is not None:
            self._goal.close()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()


class _Link(asyncio.Protocol):
    """A client's connection, and ours to the server on its behalf."""

    def __init__(self, proxy: Proxy, target: tuple[str, int]) -> None:
        self.proxy = proxy
        self._target = target
        self.pipes: dict[Way, _Pipe] = {way: _Pipe(self, way) for way in WAYS}
        self._client: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._carried = b""
        self._over = False

    # --- the client's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        self.proxy.asked += 1
        self.proxy.links.add(self)
        if self.proxy.refusing:
            self.cut(self.proxy.refusing)
            return
        self.pipes["to_server"].begins(transport)
        self.pipes["to_client"].ends(transport)
        self._dialling = _loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            made, _ = await _loop().create_connection(lambda: _ServerSide(self), *self._target)
        except OSError:
            self.cut("rst")
            return
        self._server = made
        if self._over:
            made.abort()
            return
        self.pipes["to_client"].begins(made)
        self.pipes["to_server"].ends(made)

    def data_received(self, data: bytes) -> None:
        self.pipes["to_server"].take(data)

    def eof_received(self) -> bool:
        self.pipes["to_server"].finish()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.gone(error)

    # --- both -----------------------------------------------------------------------------------------------------

    def gone(self, error: Exception | None) -> None:
        """One side has ended: so does the other, as abruptly."""
        if not self._over:
            if error is not None:
                self.cut("rst")
            else:
                for pipe in self.pipes.values():
                    pipe.finish()
        if all(side is None or side.is_closing() for side in (self._client, self._server)):
            self._end()

    def trap(self, way: Way, seen: bytes) -> Trap | None:
        """The trap that this has run into. What was carried is remembered as long as traps ask for it."""
        traps = self.proxy.traps
        if not traps:
            return None
        if way == "to_server" and any(trap.after for trap in traps):
            self._carried = (self._carried + seen)[-MOST_HELD:]
        for trap in traps:
            if trap.pattern.way == way and trap.pattern.bytes in seen and trap.after in self._carried:
                trap.caught += 1
                trap.left -= 1
                if not trap.left:
                    traps.remove(trap)
                    trap.enough.set()
                return trap
        return None

    def cut(self, how: How) -> None:
        self._end()
        for side in (self._client, self._server):
            if side is None:
                continue
            if how == "rst":
                link = side.get_extra_info("socket")
                if link is not None:
                    # no goodbye, and what was on its way is lost
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.abort()
            else:
                side.close()

    def half_cut(self) -> None:
        """Nobody hears the client any more, nor does it hear anybody; the server is told by an end of data."""
        self._end()
        if self._server is not None:
            self._server.close()
        if self._client is not None:
            self._client.abort()

    def _end(self) -> None:
        self._over = True
        self.proxy.links.discard(self)
        for pipe in self.pipes.values():
            pipe.stop()


class _ServerSide(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.pipes["to_client"].take(data)

    def eof_received(self) -> bool:
        self._link.pipes["to_client"].finish()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._link.gone(error)
