"""One client's socket: size, decoding, rate, who are you; everything else is somebody else's work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from chat.log import reading, registry
from chat.log.batch import Request
from chat.log.errors import Refused, busy, describe
from chat.log.execute import parse
from chat.log.visibility import Viewer
from chat.realtime import limits, protocol
from chat.realtime.answers import error_frame, sentence
from chat.realtime.closing import CloseCode
from chat.realtime.identity import Identity
from chat.realtime.outbox import Outbox

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
        self.outbox = Outbox(send)
        self._send = send
        self.identity: Identity | None = None
        self.language = ""
        self._following: set[UUID] = set()
        self._bucket = limits.Bucket(limits.RATE, limits.BURST)
        self._bad_frames = 0
        self._heard_at = time.monotonic()
        self.opened_at = self._heard_at

    @property
    def person_id(self) -> UUID | None:
        return self.identity.person_id if self.identity else None

    async def run(self) -> None:
        message = await self._receive()
        if message["type"] != "websocket.connect":
            return
        try:
            identity = await self._handshake()
            await self._send({"type": "websocket.accept"})
            sender = self.outbox.start()
            if identity is False:
                self.outbox.close(CloseCode.ORIGIN)
            elif self._server.draining:
                self.bye(CloseCode.GOING_AWAY)
            else:
                if isinstance(identity, Identity):
                    self._become(identity)
                self._hello()
            receiver = asyncio.create_task(self._read())
            await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sender, receiver):
                task.cancel()
            for result in await asyncio.gather(sender, receiver, return_exceptions=True):
                if isinstance(result, Exception) and not _is_gone(result):
                    logger.error("socket ended by %s", type(result).__name__, exc_info=result)
        finally:
            self._cleanup()

    def _cleanup(self) -> None:
        for stream_id in list(self._following):
            self._hub.unfollow(self, stream_id)
        self._following.clear()
        if self.identity is not None:
            self._hub.drop_person(self.identity.person_id, self)
        self._server.sockets.discard(self)

    # --- who ----------------------------------------------------------------------------------------------------

    async def _handshake(self) -> Identity | bool | None:
        """The cookie's person, None for a guest, False for a page that may not open sockets here."""
        headers: dict[bytes, bytes] = dict(self._scope.get("headers", []))
        self.language = (
            headers.get(b"accept-language", b"").decode("latin-1").split(",")[0].split(";")[0].strip()[:12]
        )
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin:
            # not a browser: the cookie counts for nothing, a ticket is needed
            return None
        host = headers.get(b"host", b"").decode("latin-1")
        secure = self._scope.get("scheme") in {"wss", "https"}
        if not self._server.guard.origin_allowed(origin, host, secure):
            return False
        session_key = _cookie(headers.get(b"cookie", b"").decode("latin-1"), self._server.session_cookie)
        if not session_key:
            return None
        try:
            return await self._server.readers.run(self._server.identities.from_session, session_key)
        except Exception as error:
            logger.warning("a session could not be read: %s", type(error).__name__)
            return None

    def _become(self, identity: Identity) -> None:
        if self.identity is not None:
            self._hub.drop_person(self.identity.person_id, self)
        self.identity = identity
        if identity.language:
            self.language = identity.language
        sockets = self._hub.add_person(identity.person_id, self)
        if len(sockets) > limits.SOCKETS_PER_PERSON:
            oldest = min(sockets, key=lambda s: s.opened_at)
            oldest.bye(CloseCode.TOO_MANY_SOCKETS)

    def _hello(self) -> None:
        who = self.identity
        self.outbox.put(
            protocol.encode(
                protocol.Hello(
                    protocol=protocol.VERSION,
                    time=_now_ms(),
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
        if frame.ticket:
            origin = dict(self._scope.get("headers", [])).get(b"origin", b"").decode("latin-1")
            found = await self._server.readers.run(identities.from_ticket, frame.ticket, origin)
        elif frame.resume:
            found = await self._server.readers.run(identities.from_resume, frame.resume)
        if found is None:
            self._refuse(Refused("auth.failed"))
            return
        self._become(found)
        self._hello()
        for stream_id in list(self._following):
            # who one is decides what one sees
            self.rejoin(stream_id)

    async def recheck_identity(self) -> None:
        identity = self.identity
        if identity is None:
            return
        valid = await self._server.readers.run(self._server.identities.still_valid, [identity])
        if identity not in valid and self.identity is identity:
            self.bye(CloseCode.SIGN_IN_AGAIN)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard_at = time.monotonic()
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
                self._refuse(refusal, id=_salvage_id(text) if refusal.code == "rate.limited" else None)
                self._count_bad()
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                reason = str(error)[:200]
                self._refuse(Refused("frame.invalid", reason=reason), id=_salvage_id(text))
                self._count_bad()
            except Exception:
                logger.exception("a frame could not be handled")
                self._refuse(Refused("server.error"))
            else:
                self._bad_frames = max(0, self._bad_frames - 1)
            if self.outbox.closing is not None:
                return

    def _count_bad(self) -> None:
        self._bad_frames += 1
        if self._bad_frames > limits.ERRORS:
            self.bye(CloseCode.TOO_MANY_ERRORS)

    def _refuse(self, refusal: BaseException, id: Any = None) -> None:
        self.outbox.put(error_frame(refusal, id=id, language=self.language))

    async def _handle(self, frame: Any, size: int) -> None:
        match frame:
            case protocol.Do():
                if size > limits.COMMAND:
                    raise Refused("frame.too_large", limit=limits.COMMAND)
                self._do(frame)
            case protocol.Ping():
                self.outbox.put(protocol.encode(protocol.Pong(time=_now_ms(), at=frame.at)))
            case protocol.Join():
                await self._join(frame)
            case protocol.Leave():
                for stream_id in frame.streams[: limits.STREAMS]:
                    self._unfollow(stream_id)
            case protocol.Tell():
                if frame.stream in self._following and frame.name in TELL_NAMES and len(frame.value) <= 32:
                    self._hub.tell(frame.stream, frame.name, self.person_id, frame.value)
            case protocol.Ask():
                await self._ask(frame)
            case protocol.Auth():
                await self._auth(frame)

    def _do(self, frame: protocol.Do) -> None:
        spec = registry.COMMANDS.get(frame.name)
        try:
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

    # --- following streams --------------------------------------------------------------------------------------

    async def _join(self, frame: protocol.Join) -> None:
        if len(self._following | {s.stream for s in frame.streams}) > limits.STREAMS:
            raise Refused("stream.too_many")
        access = await self._server.readers.run(
            reading.access, [s.stream for s in frame.streams], self.person_id
        )
        for wanted in frame.streams:
            verdict = access[wanted.stream]
            if not verdict.read:
                self._left(wanted.stream, verdict.reason)
                continue
            await self._follow(wanted, verdict)

    async def _follow(self, wanted: protocol.StreamPosition, verdict: registry.Access) -> None:
        stream_id = wanted.stream
        viewer = Viewer(self.person_id, verdict.staff)
        self._following.add(stream_id)
        follower = await self._hub.follow(self, stream_id, viewer)
        try:
            joined, events = await self._server.readers.run(
                _catch_up, stream_id, viewer, wanted.after, wanted.epoch
            )
        except Exception as error:
            self._unfollow(stream_id)
            logger.warning("a stream could not be joined: %s", type(error).__name__)
            self._refuse(Refused("server.unavailable", temporary=True, retry_after=2.0))
            return
        self.outbox.put(protocol.encode(joined))
        if events is not None:
            self.outbox.put(events)
        follower.release(joined.seq)
        self._hub.send_values_to(follower, stream_id)

    def _unfollow(self, stream_id: UUID) -> None:
        if stream_id in self._following:
            self._following.discard(stream_id)
            self._hub.unfollow(self, stream_id)

    def _left(self, stream_id: UUID, code: str) -> None:
        self.outbox.put(protocol.encode(protocol.Left(stream_id, code, sentence(code, {}, self.language))))

    def put_out(self, stream_id: UUID, code: str) -> None:
        """The person may not read that stream any more."""
        if stream_id in self._following:
            self._unfollow(stream_id)
            self._left(stream_id, code)

    def rejoin(self, stream_id: UUID) -> None:
        """Send a fresh snapshot of a stream: role, identity or epoch have changed."""
        self._hub.spawn(self._rejoin(stream_id))

    async def _rejoin(self, stream_id: UUID) -> None:
        if stream_id not in self._following:
            return
        self._unfollow(stream_id)
        await self._join(protocol.Join([protocol.StreamPosition(stream_id)]))

    # --- time and leaving ---------------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """Called every few seconds: say that the server is there, or give up a client that is not."""
        if now - self._heard_at > limits.SILENCE:
            self.bye(CloseCode.SILENT)
        else:
            self.outbox.put_latest("beat", protocol.encode(protocol.Beat(_now_ms())))

    def bye(self, code: CloseCode, retry_after: float | None = None) -> None:
        """Close with a code; the reason travels in a frame too, because not every server sends it."""
        self.outbox.close(code, protocol.encode(protocol.Bye(int(code), code.name.lower(), retry_after)))


def _catch_up(
    stream_id: UUID, viewer: Viewer, after: int | None, epoch: int | None
) -> tuple[protocol.Joined, str | None]:
    """What a client that has `after` needs: the missed events in one frame, or a snapshot."""
    position = reading.positions([stream_id])[stream_id]
    if (
        after is not None
        and epoch == position.epoch
        and position.floor <= after <= position.seq
        and position.seq - after <= reading.REPLAY_LIMIT
    ):
        joined = protocol.Joined(stream_id, "replay", position.epoch, position.seq)
        if after == position.seq:
            return joined, None
        missed = reading.replay(stream_id, viewer, after, position.seq)
        return joined, protocol.events_frame(stream_id, position.epoch, after + 1, position.seq, missed)
    snapshot = reading.snapshot(stream_id, viewer)
    seq, epoch_now = _position_of(snapshot)
    return protocol.Joined(stream_id, "resync", epoch_now, seq, msgspec.Raw(snapshot)), None


class _SnapshotHead(msgspec.Struct):
    seq: int
    epoch: int


def _position_of(snapshot: bytes) -> tuple[int, int]:
    head = msgspec.json.decode(snapshot, type=_SnapshotHead)
    return head.seq, head.epoch


def _cookie(header: str, name: str) -> str:
    for pair in header.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""


class _OnlyId(msgspec.Struct):
    id: UUID | None = None


def _salvage_id(text: str | None) -> UUID | None:
    """The command id of a frame that was refused, so that the client knows which one it was."""
    try:
        return msgspec.json.decode(text or "{}", type=_OnlyId).id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _now_ms() -> int:
    return int(time.time() * 1000)


def _is_gone(error: Exception) -> bool:
    """Whether a send failed because the client had left."""
    return isinstance(error, OSError | TimeoutError) or "disconnect" in type(error).__name__.lower()
