"""The fan-out benchmark counts right, and notices a server that does not deliver."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests import processes, services
from tests.bench.fanout import machine, parts, plan, report, runs
from tests.bench.fanout.generator import Generator, GeneratorFailed, Load, Report
from tests.bench.fanout.house import House
from tests.bench.fanout.lifts import LIFTS
from tests.bench.fanout.subjects import Crowd, Lane, Subject, frames_to_publish, ours, steps_to_enter

SOCKETS = 20
PUBLISH = ['*\t{"message":"%id% hello"}']
LOAD = Load(SOCKETS, 4, rate=200, warm=0.1, seconds=0.4, drain=1.0, patience=20)


def run(folder: Path, port: int, load: Load = LOAD, publish: list[str] | None = None) -> Report:
    with Generator(load, ports=[port], path="/", publish=publish or PUBLISH, folder=folder) as generator:
        return generator.run()


# --- a server that can be told what to do wrong -------------------------------------------------------------------

# (client, sender, number, all texts so far by sender and number): what that client gets when that message was sent.
Fault = Callable[[int, int, int, dict[tuple[int, int], str]], list[str]]
VICTIM = (3, 0, 5)


@contextmanager
def tiny_server(fault: Fault) -> Iterator[tuple[int, dict[tuple[int, int], str]]]:
    """A room, on a thread of its own: its port, and what it was sent."""
    port = services.free_port()
    loop = asyncio.new_event_loop()
    started, ended = threading.Event(), asyncio.Event()
    clients: list[ServerConnection] = []
    texts: dict[tuple[int, int], str] = {}

    async def room(client: ServerConnection) -> None:
        clients.append(client)
        try:
            async for message in client:
                text = str(message)
                found = re.search("~fan~(.{4})-(.{8})", text)
                assert found is not None
                sender, number = (int(digits, 16) for digits in found.groups())
                texts[sender, number] = text
                for place, member in enumerate(clients):
                    for said in fault(place, sender, number, texts):
                        await member.send(said)
        except ConnectionClosed:
            return

    async def main() -> None:
        async with serve(room, services.HOST, port, compression=None):
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert started.wait(10)
        yield port, texts
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def right(_client: int, sender: int, number: int, texts: dict[tuple[int, int], str]) -> list[str]:
    return [texts[sender, number]]


def drops(client: int, sender: int, number: int, texts: dict[tuple[int, int], str]) -> list[str]:
    return [] if (client, sender, number) == VICTIM else [texts[sender, number]]


def doubles(client: int, sender: int, number: int, texts: dict[tuple[int, int], str]) -> list[str]:
    return [texts[sender, number]] * (2 if (client, sender, number) == VICTIM else 1)


def reorders(client: int, sender: int, number: int, texts: dict[tuple[int, int], str]) -> list[str]:
    """One message waits for the same sender's next."""
    if (client, sender, number) == VICTIM:
        return []
    late = [texts[sender, number - 1]] if (client, sender, number - 1) == VICTIM else []
    return [texts[sender, number], *late]


def packs(_client: int, sender: int, number: int, texts: dict[tuple[int, int], str]) -> list[str]:
    """Two messages of a sender in one frame."""
    return [f"[{texts[sender, number - 1]},{texts[sender, number]}]"] if number % 2 else []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (right, {}),
        (drops, {"missing": 1}),
        (doubles, {"duplicates": 1}),
        (reorders, {"disorder": 1}),
    ],
)
def test_what_a_server_does_wrong_is_found(fault: Fault, found: dict[str, int], tmp_path: Path) -> None:
    with tiny_server(fault) as (port, texts):
        counted = run(tmp_path, port)
    assert counted.faults == found
    assert counted.sent == len(texts) > 20
    assert counted.received == counted.sent * SOCKETS - counted.missing
    assert 0 < counted.deliveries <= counted.received + counted.duplicates


def test_several_messages_in_a_frame_are_counted_each(tmp_path: Path) -> None:
    with tiny_server(packs) as (port, _):
        counted = run(tmp_path, port, replace(LOAD, drain=0.3))
    assert counted.deliveries == 2 * counted.frames > 0
    # the last one of a sender may have waited for another in vain
    assert counted.faults.keys() <= {"missing"}
    assert counted.missing % SOCKETS == 0 and counted.missing <= LOAD.senders * SOCKETS


def test_a_closed_loop_gives_up_what_does_not_come(tmp_path: Path) -> None:
    load = replace(LOAD, rate=None, senders=1, stall=0.15)
    with tiny_server(drops) as (port, _):
        counted = run(tmp_path, port, load)
    assert counted.faults == {"missing": 1, "stalls": 1}


def test_a_server_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(GeneratorFailed, match="connect"):
        run(tmp_path, services.free_port())


def test_the_floor_delivers_everything(tmp_path: Path) -> None:
    port = services.free_port()
    program = services.Program([str(parts.compiled("floor")), str(port)], log=tmp_path / "floor.log")
    try:
        services.wait_until(lambda: _listens(port), what="the floor")
        counted = run(tmp_path, port, replace(LOAD, rate=None))
    finally:
        program.end(9, 5)
    assert not counted.faults
    assert counted.received == counted.sent * SOCKETS
    assert counted.deliveries == counted.frames > 0
    assert 0 < counted.p50_ms <= counted.p99_ms <= counted.max_ms
    assert 0 < counted.cpu_seconds <= counted.seconds


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((services.HOST, port)) == 0


@pytest.fixture(scope="module")
def livesale_process() -> Iterator[processes.LiveProcess]:
    """The product with what the benchmark lifts, on SQLite."""
    application = "tests.bench.fanout.ours:application"
    with processes.live_processes(
        1, server="uvicorn", application=application, env={"FANOUT_LIFT": ",".join(LIFTS)}
    ) as (process,):
        yield process


@pytest.mark.parametrize("lane", ["signal", "durable"])
def test_ours_delivers_everything(
    lane: Lane, livesale_process: processes.LiveProcess, tmp_path: Path
) -> None:
    """By the same steps and frames as in the benchmark."""
    house = House(livesale_process.env)
    guests = house.prepare(people=SOCKETS, rooms=2)
    house.end()
    crowd = Crowd(SOCKETS, 4, rooms=2)
    with Generator(
        replace(LOAD, rooms=2, rate=40),
        ports=[livesale_process.port],
        path="/ws/",
        publish=frames_to_publish(lane, crowd, guests.rooms),
        setup=list(steps_to_enter(crowd, guests)),
        folder=tmp_path,
    ) as generator:
        generator.joined()
        os.kill(livesale_process.pid, signal.SIGUSR1)
        generator.begin()
        generator.started()
        generator.ended()
        counted = generator.report()
    assert not counted.faults
    assert counted.received == counted.sent * SOCKETS / 2 > 0


# --- what is made of the counts -----------------------------------------------------------------------------------


def made_run(us: float, **counted: int) -> runs.Run:
    zero = dict.fromkeys(("missing", "duplicates", "disorder", "strays", "closed", "stalls"), 0)
    said = Report(
        deliveries=1_000, messages=2, frames=1_000, seconds=1.0, sent=2, received=1_000,
        p50_ms=1.0, p99_ms=2.0, max_ms=3.0, cpu_seconds=0.2, join_seconds=1.0, **{**zero, **counted},
    )  # fmt: skip
    run = runs.Run(said, us, 0.0, 0.0, ticks=100, others=0.0, stolen=0.0)
    run.doubts = runs.doubts(run)
    return run


def made_results(*rounds: dict[str, runs.Run]) -> report.Results:
    entrants = (*plan.RIVALS.values(), plan.signals_each("uvicorn"))
    cell = runs.Cell("closed-500", "a cell", Load(500, 4), entrants, repetitions=len(rounds))
    cores = machine.Cores(frozenset({0}), frozenset({1}))
    return report.Results("a command", cores, {"closed-500": runs.Found(cell, list(rounds))})


OURS = "ours-uvicorn-signal-each"


def verdict_of(results: report.Results, word: str) -> str:
    return next(row[-1] for row in report.verdicts(results) if word in row[0])


def test_targets_are_judged_by_the_median_of_ratios_made_inside_a_repetition() -> None:
    results = made_results(
        {OURS: made_run(5), "ws": made_run(10), "floor": made_run(4)},
        {OURS: made_run(50), "ws": made_run(100), "floor": made_run(4.1)},
        {OURS: made_run(5), "ws": made_run(4), "floor": made_run(4)},
    )
    assert results.cells["closed-500"].ratios(OURS, "ws") == [2, 2, 0.8]
    assert verdict_of(results, "npm ws, message") == "pass"
    assert verdict_of(results, "C floor") == "pass"
    assert verdict_of(results, "Socket.IO") == "not measured"


def test_a_repetition_in_which_the_floor_moved_is_left_out() -> None:
    results = made_results(*({"floor": made_run(us)} for us in (4, 4.2, 6)))
    assert len(results.cells["closed-500"].kept) == 2


def test_wrong_answers_make_no_ratio_and_no_pass() -> None:
    results = made_results({OURS: made_run(1, duplicates=500), "ws": made_run(10)})
    assert results.wrong == [f"closed-500, {OURS}: 500 duplicates"]
    assert "falls short" in verdict_of(results, "npm ws, message")
    assert "500 duplicates" in report.page(results)


def test_what_is_missing_is_said() -> None:
    results = made_results({OURS: made_run(1)})
    results.cells["closed-500"].missing["nchan"] = "NOT MEASURED: nginx is not installed"
    assert "**NOT MEASURED: nginx is not installed**" in report.body(results)
    assert verdict_of(results, "nchan") == "not measured"


def test_the_plan_asks_what_the_targets_judge() -> None:
    asked = {cell.key: {s.key for s in cell.entrants} for cell in plan.full()}
    asked["idle"] = {s.key for s in plan.idle_entrants()}
    for target in plan.TARGETS:
        wanted = target.wanted.keys() | ({target.rival} if target.rival else set())
        assert wanted <= asked[target.cell], target.what
    everybody: list[Subject] = [s for cell in (*plan.full(), *plan.quick()) for s in cell.entrants]
    assert len({s.name for s in everybody}) == len({s.key for s in everybody})
    assert ours("daphne", "signal").lifted == ()
