"""A serving process: its writer lane, its pump, its hub, its sockets; started once, drained at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from chat.log import execute, registry
from chat.log.batch import Outcome
from chat.log.lane import Lane
from chat.log.pump import Pump
from chat.realtime import ending
from chat.realtime.answers import AnswerBridge
from chat.realtime.closing import CloseCode
from chat.realtime.consumer import Socket
from chat.realtime.hub import Hub
from chat.realtime.identity import Identities, RequestGuard
from chat.realtime.joining import Desk
from chat.realtime.layer import Layer
from chat.realtime.limits import BEAT
from chat.realtime.readers import Readers
from chat.realtime.stats import stats

logger = logging.getLogger(__name__)

# Whether a person may still be connected is asked this often, in seconds, in one query for the whole process.
RECHECK = 5.0
# Identities asked about in one query.
RECHECK_SLICE = 2_000
# At the end the last news have this long to reach the other processes, and sockets to be closed, in seconds.
NEWS_LAST = 2.0
GOODBYES_LAST = 5.0


class Server:
    """The realtime half of a process; its `application` is the ASGI app of `/ws/`.

    The lane and the pump start with `start`; hub, readers and bridge with the first socket, because only then is
    there an event loop to live on.
    """

    def __init__(
        self,
        *,
        identities: Identities,
        guard: RequestGuard,
        session_cookie: str,
        features: list[str] | None = None,
        plain_asgi: bool = False,
    ) -> None:
        """`plain_asgi`: never write to a connection past the server, whichever it is."""
        self.identities = identities
        self.guard = guard
        self.session_cookie = session_cookie
        self.features = features or []
        self.plain_asgi = plain_asgi
        self.sockets: set[Socket] = set()
        self.draining = False
        self._others: list[Callable[[], Awaitable[None]]] = []
        self.lane = Lane(self._outcome)
        self.pump = Pump()
        self._hub: Hub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.readers: Readers
        self.bridge: AnswerBridge
        self.desk: Desk

    @property
    def hub(self) -> Hub:
        if self._hub is None:
            raise RuntimeError("the hub starts with the first socket")
        return self._hub

    @property
    def hub_or_none(self) -> Hub | None:
        return self._hub

    def start(self) -> None:
        """Start the lane and the pump, and make `execute` of this process use the lane."""
        registry.load()
        self.lane.start()
        execute.use_lane(self.lane)
        self.pump.start()

    def _outcome(self, outcome: Outcome) -> None:
        if self._hub is not None:
            self._hub.hear(outcome)
        if outcome.promised_now:
            self.pump.wake()

    def open(self) -> None:
        """This process has begun to be talked to, on this loop; harmless to repeat. From here on its end is ours."""
        if self._hub is None:
            # what was made until now stays: the collector need not look at it again. Sockets make no cycles, and what
            # daphne's connections make is undone; for all others it still looks at the old ones now and then
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 10, 10)
            self._loop = asyncio.get_running_loop()
            self.readers = Readers()
            self.bridge = AnswerBridge()
            self._hub = Hub(Layer(), self.readers)
            self.desk = Desk(self.readers, self._hub.spawn, self.identities)
            self._hub.start()
            self._hub.spawn(self._keep_time())
            ending.before_the_server_ends(self.drain)

    async def application(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """The ASGI application of the socket."""
        self.open()
        socket = Socket(self, scope, receive, send)
        self.sockets.add(socket)
        stats.opened += 1
        await socket.run()

    async def _keep_time(self) -> None:
        beat_at = time.monotonic()
        while True:
            await asyncio.sleep(RECHECK)
            try:
                await self._recheck()
            except Exception as error:
                logger.warning("identities could not be checked: %s", type(error).__name__)
            now = time.monotonic()
            speaks = now - beat_at >= BEAT
            if speaks:
                beat_at = now
            for i, socket in enumerate(list(self.sockets)):
                socket.beat(now, speaks=speaks)
                if i % 500 == 499:
                    await asyncio.sleep(0)

    async def _recheck(self) -> None:
        """Close sockets whose session, password or account is gone."""
        identities = list({s.identity for s in self.sockets if s.identity is not None})
        valid = set()
        for i in range(0, len(identities), RECHECK_SLICE):
            valid |= await self.readers.run(self.identities.still_valid, identities[i : i + RECHECK_SLICE])
        asked = set(identities)
        for socket in list(self.sockets):
            if socket.identity in asked and socket.identity not in valid:
                socket.bye(CloseCode.SIGN_IN_AGAIN)

    def wait_for(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Let something else of this process finish before the loop ends; sockets have been sent away by then."""
        self._others.append(finish)

    async def drain(self) -> None:
        """Take nothing new, finish what was taken, let the news leave and send everybody away. On the loop."""
        self.draining = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.stop)
        # the last answers and news were handed to the loop before this coroutine went on
        if self._hub is None:
            return
        self._hub.flush()
        await self._hub.say_all(NEWS_LAST)
        for i, socket in enumerate(list(self.sockets)):
            spread = round(random.uniform(0, 3), 2)  # noqa: S311 - not a secret
            socket.bye(CloseCode.GOING_AWAY, retry_after=spread, flush=True)
            if i % 200 == 199:
                await asyncio.sleep(0)
        until = time.monotonic() + GOODBYES_LAST
        while self.sockets and time.monotonic() < until:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.02)
        for finish in self._others:
            await finish()
        await self._hub.stop()
        await loop.run_in_executor(None, self.readers.close)

    def stop(self) -> None:
        """Carry out what waits and end the threads; from any thread but the lane's."""
        # a promise that is being kept goes through the lane: the pump ends first
        self.pump.stop()
        self.lane.stop()
        execute.use_lane(None)
