"""One client's socket: size, decoding, rate, who are you; everything else is somebody else's work."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import Error

from chat.log import clock, reading, registry
from chat.log.batch import Request
from chat.log.errors import Refused, busy, describe
from chat.log.execute import parse
from chat.realtime import limits, protocol
from chat.realtime.answers import error_frame
from chat.realtime.closing import CloseCode
from chat.realtime.handshake import Arrival, known_language, meet, origin_of
from chat.realtime.identity import Identity
from chat.realtime.outbox import Outbox
from chat.realtime.places import Places
from chat.realtime.stats import stats
from chat.realtime.writers import writer_for

if TYPE_CHECKING:
    from chat.realtime.server import Server

logger = logging.getLogger(__name__)

TELL_NAMES = {"typing", "reaction"}

describe("frame.invalid", "That message was not understood: {reason}")
describe("frame.too_large", "That message is too long.")
describe("frame.binary", "Only text messages are understood here.")
describe("rate.limited", "Too fast. Try again in {seconds} seconds.")
describe("stream.too_many", "Too many rooms at once.")
describe("auth.failed", "That sign-in is not valid any more. Please sign in again.")
describe("server.restarting", "The server is being restarted; you will be connected again.")


class Socket:
    """The life of one WebSocket. Every exit goes through `_cleanup`."""

    __slots__ = (
        "__weakref__",
        "_bad_frames",
        "_bucket",
        "_ended",
        "_given_up",
        "_heard_at",
        "_hub",
        "_places",
        "_receive",
        "_running",
        "_scope",
        "_send",
        "_server",
        "_token_at",
        "identity",
        "language",
        "opened_at",
        "outbox",
    )

    def __init__(
        self,
        server: Server,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._server = server
        self._hub = server.hub
        self._scope = scope
        self._receive = receive
        self._send = send
        self.outbox = Outbox(server.hub.backlog, self._give_up)
        self.identity: Identity | None = None
        self.language = ""
        self._places = Places(self, server.hub, server.desk)
        self._bucket = limits.Bucket(limits.RATE, limits.BURST)
        self._ended = False
        self._running: asyncio.Task[Any] | None = None
        self._given_up = False
        self._bad_frames = 0
        self._heard_at = time.monotonic()
        self._token_at = self._heard_at
        self.opened_at = self._heard_at

    @property
    def person_id(self) -> UUID | None:
        return self.identity.person_id if self.identity else None

    async def run(self) -> None:
        self._running = asyncio.current_task()
        try:
            if (await self._receive())["type"] != "websocket.connect":
                return
            arrival = await self._meet()
            self.language = arrival.language
            await self._send({"type": "websocket.accept"})
            self.outbox.open(writer_for(self._send, self.outbox.drain, plain=self._server.plain_asgi))
            if arrival.refused == CloseCode.BUSY:
                self.come_back()
            elif arrival.refused is not None:
                self.bye(arrival.refused)
            else:
                if arrival.identity is not None:
                    self._become(arrival.identity)
                self._hello()
            await self._read()
        except asyncio.CancelledError:
            if not self._given_up:
                raise
        except Exception as error:
            if not _is_gone(error):
                raise
        finally:
            self._cleanup()

    def _give_up(self) -> None:
        """The goodbye was not answered, and the server cannot drop the connection: the application ends."""
        if self._running is not None and not self._ended:
            self._given_up = True
            self._running.cancel()

    def _cleanup(self) -> None:
        self._ended = True
        self._running = None
        self.outbox.end()
        self._places.end()
        if self.identity is not None:
            self._hub.drop_person(self.identity.person_id, self)
        self._server.sockets.discard(self)

    # --- who ----------------------------------------------------------------------------------------------------

    async def _meet(self) -> Arrival:
        if self._server.draining:
            return Arrival(refused=CloseCode.GOING_AWAY)
        return await meet(self._scope, self._server.guard, self._server.session_cookie, self._server.desk)

    def _become(self, identity: Identity) -> None:
        if self.identity is not None:
            self._hub.drop_person(self.identity.person_id, self)
        self.identity = identity
        if identity.language:
            self.language = known_language(identity.language)
        sockets = self._hub.add_person(identity.person_id, self)
        # who opens more sockets, comes again, or was a guest until now, is not heard more often
        own = self._hub.allowances.of(identity.person_id)
        if own is not self._bucket:
            own.charge(self._bucket.missing)
            self._bucket = own
        if len(sockets) > limits.SOCKETS_PER_PERSON:
            staying = [s for s in sockets if s.outbox.closing is None]
            for oldest in sorted(staying, key=lambda s: s.opened_at)[: -limits.SOCKETS_PER_PERSON]:
                oldest.bye(CloseCode.TOO_MANY_SOCKETS)

    def _hello(self) -> None:
        who = self.identity
        self._token_at = time.monotonic()
        self.outbox.put(
            protocol.encode(
                protocol.Hello(
                    protocol=protocol.VERSION,
                    time=clock.told_ms(),
                    you=protocol.Person(who.person_id, who.name) if who else None,
                    limits=limits.TOLD,
                    features=self._server.features,
                    resume=self._server.identities.resume_token(who) if who else None,
                )
            )
        )

    async def _auth(self, frame: protocol.Auth) -> None:
        identities = self._server.identities
        found: Identity | None = None
        try:
            if frame.ticket:
                origin = origin_of(self._scope)
                found = await self._server.readers.run(identities.from_ticket, frame.ticket, origin)
            elif frame.resume:
                found = await self._server.desk.from_resume_token(frame.resume)
        except Error as error:
            # neither believed nor refused: who comes back in a moment is judged then
            logger.warning("a sign-in could not be judged: %s", type(error).__name__)
            self.come_back()
            return
        if found is None:
            self._refuse(Refused("auth.failed"))
            return
        self._become(found)
        self._hello()
        # who one is decides what one sees
        self._places.join_all_anew()

    async def recheck_identity(self) -> None:
        identity = self.identity
        if identity is None:
            return
        valid = await self._server.readers.run(self._server.identities.still_valid, [identity])
        if identity not in valid and self.identity == identity:
            self.bye(CloseCode.SIGN_IN_AGAIN)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if self.outbox.closing is not None:
                # only the other side's goodbye is waited for
                continue
            self._heard_at = time.monotonic()
            stats.frames_in += 1
            text = message.get("text")
            try:
                if text is None:
                    raise Refused("frame.binary")
                if len(text) > limits.FRAME:
                    raise Refused("frame.too_large", limit=limits.FRAME)
                wait = self._bucket.take()
                if wait:
                    raise Refused(
                        "rate.limited", temporary=True, retry_after=round(wait, 2), seconds=round(wait, 1)
                    )
                frame = protocol.decode(text)
                await self._handle(frame, len(text))
            except Refused as refusal:
                self._refuse(refusal, id=_salvage_id(text))
                self._count_bad()
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                reason = str(error)[:200]
                self._refuse(Refused("frame.invalid", reason=reason), id=_salvage_id(text))
                self._count_bad()
            except Error as error:
                # the database is away: nothing is wrong with the frame
                logger.warning("a frame could not be handled: %s", type(error).__name__)
                self._refuse(Refused("server.unavailable", temporary=True, retry_after=2.0))
            except Exception:
                logger.exception("a frame could not be handled")
                self._refuse(Refused("server.error"))
            else:
                self._bad_frames = max(0, self._bad_frames - 1)

    def _count_bad(self) -> None:
        self._bad_frames += 1
        if self._bad_frames > limits.ERRORS:
            self.bye(CloseCode.TOO_MANY_ERRORS)

    def _refuse(self, refusal: BaseException, id: Any = None) -> None:
        stats.errors[getattr(refusal, "code", "server.error")] += 1
        self.outbox.put(error_frame(refusal, id=id, language=self.language))

    async def _handle(self, frame: Any, size: int) -> None:
        match frame:
            case protocol.Do():
                if size > limits.COMMAND:
                    raise Refused("frame.too_large", limit=limits.COMMAND)
                self._do(frame)
            case protocol.Ping():
                self.outbox.put(protocol.encode(protocol.Pong(time=clock.told_ms(), at=frame.at)))
            case protocol.Join():
                await self._places.join(frame.streams)
            case protocol.Leave():
                await self._places.leave(frame.streams[: limits.STREAMS])
            case protocol.Tell():
                if frame.stream in self._places and frame.name in TELL_NAMES and len(frame.value) <= 32:
                    self._hub.tell(frame.stream, frame.name, self.person_id, frame.value)
            case protocol.Ask():
                await self._ask(frame)
            case protocol.Auth():
                await self._auth(frame)

    def _do(self, frame: protocol.Do) -> None:
        spec = registry.COMMANDS.get(frame.name)
        try:
            if frame.id.version != 7:
                raise Refused("command.invalid", reason="id must be a UUIDv7")
            if spec is None or spec.system:
                raise Refused("command.unknown", name=frame.name[:40])
            if self.identity is None:
                raise Refused("auth.required")
            body = parse(spec, frame.body)
            request = Request(spec, frame.stream, self.identity.person_id, frame.id, body)
            request.done = self._server.bridge.to(self._answered)
            if self._server.draining:
                raise busy()
            self._server.lane.submit(request)
        except Refused as refusal:
            self._refuse(refusal, id=frame.id)
            if refusal.code in {"command.unknown", "command.invalid"}:
                self._count_bad()

    def _answered(self, request: Request) -> None:
        if request.error is not None:
            self._refuse(request.error, id=request.client_id)
        else:
            self.outbox.put(
                protocol.encode(protocol.Ack(request.client_id, request.answer or {}, request.repeated))
            )

    async def _ask(self, frame: protocol.Ask) -> None:
        if self.identity is None:
            raise Refused("auth.required")
        ids = frame.ids[: limits.ASK_IDS]
        found = await self._server.readers.run(reading.receipts, self.identity.person_id, ids)
        self.outbox.put(protocol.encode(protocol.Told({str(i): found.get(i) for i in ids})))

    # --- what the hub asks --------------------------------------------------------------------------------------

    def put_out(self, stream_id: UUID, reason: str) -> None:
        """The person may not read that stream any more."""
        self._places.put_out(stream_id, reason)

    def rejoin(self, stream_id: UUID) -> None:
        """Send a fresh snapshot of a stream: role, identity or epoch have changed."""
        self._places.join_anew(stream_id)

    # --- time and leaving ---------------------------------------------------------------------------------------

    def beat(self, now: float, *, speaks: bool = True) -> None:
        """Called every few seconds: give up a client that is not there, or (`speaks`) say that the server is."""
        if now - self._heard_at > limits.SILENCE:
            self.bye(CloseCode.SILENT)
            return
        if not speaks:
            return
        token = None
        if self.identity is not None and now - self._token_at > limits.TOKEN_AGE:
            self._token_at = now
            token = self._server.identities.resume_token(self.identity)
        self.outbox.put_latest("beat", protocol.encode(protocol.Beat(clock.told_ms(), token)))

    def come_back(self) -> None:
        """What this socket needs cannot be had now; perhaps in a moment."""
        self.bye(CloseCode.BUSY, retry_after=round(random.uniform(1, 4), 2))  # noqa: S311 - a spread

    def bye(self, code: CloseCode, retry_after: float | None = None, *, flush: bool = False) -> None:
        """Close with a code; the reason travels in a frame too, because not every server sends it.

        With `flush`, what waits to leave (answers above all) leaves first.
        """
        last = protocol.Bye(int(code), code.name.lower(), retry_after)
        self.outbox.close(code, protocol.encode(last), flush=flush)


class _OnlyId(msgspec.Struct):
    id: UUID | None = None


def _salvage_id(text: str | None) -> UUID | None:
    """The command id of a frame that was refused, so that the client knows which one it was."""
    try:
        return msgspec.json.decode(text or "{}", type=_OnlyId).id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _is_gone(error: Exception) -> bool:
    """Whether a send failed because the client had left."""
    return isinstance(error, OSError | TimeoutError) or "disconnect" in type(error).__name__.lower()
