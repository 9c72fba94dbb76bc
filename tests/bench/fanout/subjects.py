"""Who is measured: how each server is started, entered and spoken to. Every command line is here."""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests import services
from tests.bench.fanout import machine, parts
from tests.bench.fanout.house import Guests, House
from tests.bench.fanout.lifts import AFTER_JOINING
from tests.processes import ROOT

Family = Literal["stock", "fast", "ours"]
Lane = Literal["signal", "durable"]

# What every message says around its id: with it a rival's frame has about 200 bytes.
FILLER = "in navy, size M please, the one you showed before the break; and is there a matching scarf for it? "
TEXT = ("%id% " + FILLER * 2)[:170]
# A signal's value may have 32 characters; the id takes 18.
VALUE = "%id% clapping hand"

DAPHNE = ("-m", "daphne", "-v", "0", "-b", services.HOST)
UVICORN = ("-m", "uvicorn", "--host", services.HOST, "--log-level", "warning", "--loop", "uvloop")
# What the README tells operators to start us with, besides host and port.
OUR_UVICORN = ("--ws-max-size", "65536", "--ws-per-message-deflate", "false")
OUR_DAPHNE = ()

FILES = 30_000


@dataclass
class Bench:
    """What all servers of one benchmark share."""

    folder: Path
    cores: machine.Cores
    redis: services.RedisServer
    redis_pid: int
    postgres_pid: int
    our_env: dict[str, str]
    house: House
    direct: urllib.request.OpenerDirector = field(
        # a proxy of the shell is not for loopback
        default_factory=lambda: urllib.request.build_opener(urllib.request.ProxyHandler({}))
    )


@dataclass(frozen=True)
class Crowd:
    """How many come, as the generator deals them out: socket i is in room i % rooms, the first ones publish."""

    sockets: int
    senders: int
    rooms: int = 1
    processes: int = 1


@dataclass
class Running:
    """A server that answers, and what the generator must know to enter it."""

    programs: list[services.Program]
    ports: list[int]
    path: str
    publish: list[str]
    """`sender TAB frame` lines."""
    setup: list[str] = field(default_factory=list)
    """`socket TAB wait TAB send` lines."""
    answer: str = ""
    """`PREFIX=REPLY`: frames that begin so are answered."""
    uses: list[int] = field(default_factory=list)
    """Servers beside it whose CPU counts too."""
    takes_signal: bool = False

    @property
    def pids(self) -> list[int]:
        return [program.pid for program in self.programs]

    def all_joined(self) -> None:
        if self.takes_signal:
            for program in self.programs:
                program.signal(signal.SIGUSR1)


@dataclass(frozen=True)
class Subject:
    """One of those that are compared."""

    key: str
    name: str
    family: Family
    start: Callable[[Bench, Crowd], Running]
    lifted: tuple[str, ...] = ()
    """Ours only: the limits that the benchmark lifts, see `lifts.py`."""

    @contextmanager
    def serve(self, bench: Bench, crowd: Crowd) -> Iterator[Running]:
        """A fresh server, and none afterwards: each is in a session of its own, workers end with their master."""
        running = self.start(bench, crowd)
        workers = {process.pid for process in machine.trees(running.pids)} - set(running.pids)
        for pid in workers:
            services.remember_process(pid)
        try:
            yield running
        finally:
            for program in running.programs:
                _end(program)
            for pid in workers:
                services.forget_process(pid)


def _program(
    bench: Bench, name: str, command: list[str], env: dict[str, str] | None = None, *, pinned: bool = True
) -> services.Program:
    if pinned:
        command = machine.on_cores(bench.cores.server, command)
    else:
        command = machine.on_cores(bench.cores.server | bench.cores.rest, command)
    return services.Program(command, log=bench.folder / f"{name}.log", env=env, cwd=ROOT)


def _end(program: services.Program) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.end(signal.SIGKILL, 10)


def _wait_for(program: services.Program, ready: Callable[[], bool], what: str) -> None:
    """Until the server is ready; one that does not become it is ended."""
    try:
        program.wait_until(ready, what=what)
    except BaseException:
        _end(program)
        raise


def _wait_for_port(program: services.Program, port: int) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((services.HOST, port)) == 0

    _wait_for(program, listens, f"a server on port {port}")


# --- the rivals -----------------------------------------------------------------------------------------------------


def channels(server: str, layer: str, application: str) -> Callable[[Bench, Crowd], Running]:
    """The Channels tutorial on that server and layer."""
    backends = {
        "core": "channels_redis.core.RedisChannelLayer",
        "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }

    def start(bench: Bench, crowd: Crowd) -> Running:
        port = services.free_port()
        env = dict(os.environ)
        env |= {
            "REDIS_URL": bench.redis.url,
            "CHANNEL_LAYER_BACKEND": backends[layer],
            "DATABASE_FILE": str(bench.folder / "tutorial.sqlite3"),
        }
        env.pop("DJANGO_SETTINGS_MODULE", None)
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        words = [*(DAPHNE if server == "daphne" else UVICORN)]
        words += ["-p" if server == "daphne" else "--port", str(port)]
        words += [f"tests.bench.fanout.rivals.channels_tutorial:{application}"]
        program = _program(bench, f"channels-{server}-{port}", [sys.executable, *words], env)
        _wait_for_port(program, port)
        publish = [f'*\t{{"message":"{TEXT}"}}']
        return Running([program], [port], "/ws/chat/room/", publish, uses=[bench.redis_pid])

    return start


def socketio(bench: Bench, crowd: Crowd) -> Running:
    """Socket.IO over the bare `websocket` transport: engine.io's and Socket.IO's packet types are leading digits."""
    port = services.free_port()
    parts.node_packages()
    words = [parts.node(), str(parts.HERE / "rivals" / "socketio.mjs"), str(port), bench.redis.url]
    program = _program(bench, f"socketio-{port}", words)
    _wait_for_port(program, port)
    return Running(
        [program],
        [port],
        "/socket.io/?EIO=4&transport=websocket",
        [f'*\t42["chat message","{TEXT}"]'],
        setup=["*\t0{\t40", "*\t40{\t"],
        answer="2=3",
        uses=[bench.redis_pid],
    )


def ws(bench: Bench, crowd: Crowd) -> Running:
    port = services.free_port()
    parts.node_packages()
    words = [parts.node(), str(parts.HERE / "rivals" / "ws.mjs"), str(port), bench.redis.url]
    program = _program(bench, f"ws-{port}", words)
    _wait_for_port(program, port)
    return Running([program], [port], "/", [f'*\t{{"message":"{TEXT}"}}'], uses=[bench.redis_pid])


def nchan(bench: Bench, crowd: Crowd) -> Running:
    port = services.free_port()
    program_path = parts.nginx()
    folder = bench.folder / f"nchan-{port}"
    folder.mkdir()
    text = (parts.HERE / "rivals" / "nchan.conf").read_text()
    filled = {
        "load_module": f"load_module {parts.NCHAN_MODULE};",
        "user": "user root;" if os.geteuid() == 0 else "",
        "folder": str(folder),
        "port": str(port),
        "files": str(machine.allow_files(FILES)),
    }
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    words = [program_path, "-c", str(configuration), "-e", str(folder / "error.log"), "-p", str(folder)]
    program = _program(bench, f"nchan-{port}", words)
    _wait_for_port(program, port)
    return Running([program], [port], "/room", [f'*\t{{"message":"{TEXT}"}}'])


def floor(bench: Bench, crowd: Crowd) -> Running:
    port = services.free_port()
    program = _program(bench, f"floor-{port}", [str(parts.compiled("floor")), str(port)])
    _wait_for_port(program, port)
    return Running([program], [port], "/", [f'*\t{{"message":"{TEXT}"}}'])


RIVALS = {
    subject.key: subject
    for subject in (
        Subject(
            "daphne-core",
            "Channels tutorial, daphne, RedisChannelLayer",
            "stock",
            channels("daphne", "core", "application"),
        ),
        Subject(
            "daphne-pubsub",
            "Channels tutorial, daphne, RedisPubSubChannelLayer",
            "stock",
            channels("daphne", "pubsub", "application"),
        ),
        Subject(
            "uvicorn-pubsub",
            "Channels tutorial, uvicorn (uvloop), RedisPubSubChannelLayer",
            "stock",
            channels("uvicorn", "pubsub", "application"),
        ),
        Subject(
            "uvicorn-no-hop",
            "the same without the thread hop per message",
            "stock",
            channels("uvicorn", "pubsub", "application_without_hop"),
        ),
        Subject("socketio", "Socket.IO with the Redis adapter", "fast", socketio),
        Subject("ws", "npm ws with ioredis", "fast", ws),
        Subject("nchan", "nchan in nginx, no Redis: lower bound", "fast", nchan),
        Subject("floor", "C, epoll and send(), no Redis: the floor", "fast", floor),
    )
}


# --- ours -----------------------------------------------------------------------------------------------------------


def ours(server: str, lane: Lane, lifted: tuple[str, ...] = ()) -> Subject:
    """The product on that server; messages go by that lane; `lifted` names limits that the bench lifts."""

    def start(bench: Bench, crowd: Crowd) -> Running:
        guests = bench.house.prepare(people=crowd.sockets, rooms=crowd.rooms)
        env = bench.our_env | {"FANOUT_LIFT": ",".join(lifted), "SERVER_PROCESSES": str(crowd.processes)}
        programs, ports = [], []
        for _ in range(crowd.processes):
            port = services.free_port()
            words = [*(DAPHNE if server == "daphne" else UVICORN)]
            words += ["-p" if server == "daphne" else "--port", str(port)]
            words += [*(OUR_DAPHNE if server == "daphne" else OUR_UVICORN)]
            words += ["tests.bench.fanout.ours:application"]
            name = f"ours-{server}-{port}"
            programs.append(_program(bench, name, [sys.executable, *words], env, pinned=crowd.processes == 1))
            ports.append(port)
        for program, port in zip(programs, ports, strict=True):
            _wait_until_live(bench, program, port)
        return Running(
            programs,
            ports,
            "/ws/",
            frames_to_publish(lane, crowd, guests.rooms),
            setup=list(steps_to_enter(crowd, guests)),
            # a client that never says a word is given up after a while
            answer='{"type":"beat"={"type":"ping"}',
            uses=[bench.redis_pid, bench.postgres_pid],
            takes_signal=True,
        )

    what = {"signal": "signals", "durable": "durable messages"}[lane]
    at_once = bool(AFTER_JOINING & set(lifted))
    name = f"**livesale**, {server}, {what}, {'one by one' if at_once else 'in ticks'}"
    key = f"ours-{server}-{lane}" + ("-each" if at_once else "")
    return Subject(key, name, "ours", start, lifted)


def _wait_until_live(bench: Bench, program: services.Program, port: int) -> None:
    def lives() -> bool:
        try:
            with bench.direct.open(f"http://{services.HOST}:{port}/livez", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    _wait_for(program, lives, f"livesale on port {port}")


def steps_to_enter(crowd: Crowd, guests: Guests) -> Iterator[str]:
    """Everybody is signed in and joins one room, as a client does that was here a moment ago."""
    for i in range(crowd.sockets):
        room = i % crowd.rooms
        seq, epoch = guests.heads[room]
        yield f'{i}\t"type":"hello"\t{{"type":"auth","resume":"{guests.tokens[i]}"}}'
        # only the hello of somebody who is signed in has a token for the next time
        yield (
            f'{i}\t"resume":\t{{"type":"join","streams":'
            f'[{{"stream":"{guests.rooms[room]}","after":{seq},"epoch":{epoch}}}]}}'
        )
        yield f'{i}\t"type":"joined"\t'


def frames_to_publish(lane: Lane, crowd: Crowd, rooms: list[str]) -> list[str]:
    lines = []
    for sender in range(crowd.senders):
        room = rooms[sender % crowd.rooms]
        if lane == "signal":
            frame = f'{{"type":"tell","stream":"{room}","name":"reaction","value":"{VALUE}"}}'
        else:
            frame = (
                f'{{"type":"do","id":"%uuid7%","stream":"{room}","name":"message.send",'
                f'"body":{{"text":"{TEXT}"}}}}'
            )
        lines.append(f"{sender}\t{frame}")
    return lines
