"""A server that cannot end by itself is ended."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from chat.realtime import ending
from tests.processes import ROOT

# What daphne leaves behind when requests were on their way: a thread that waits for a loop that runs no more.
STUCK = """
import asyncio, signal, sys, threading
from chat.realtime import ending
ending.LAST = float(sys.argv[1])
done = []

async def finish():
    done.append(True)

async def serve():
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(over.set))
    ending.before_the_server_ends(finish)
    print("serving", flush=True)
    await over.wait()
    assert done, "ended before everything was finished"
    print("finished", flush=True)

threading.Thread(target=threading.Event().wait).start()
asyncio.run(serve())
"""


def serve(last: float) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(last)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "serving\n"
    started.send_signal(signal.SIGTERM)
    assert started.stdout.readline() == "finished\n"
    return started


def test_threads_that_wait_for_ever_do_not_keep_a_process() -> None:
    with serve(last=600) as stuck:
        try:
            with serve(last=0.5) as process:
                assert process.wait(60) == 0
            # told to end before that one and there still, or nothing was stuck and the test proves nothing
            with pytest.raises(subprocess.TimeoutExpired):
                stuck.wait(1)
        finally:
            stuck.kill()
    # a unit kills after 30 s
    assert ending.PATIENCE + ending.LAST < 30
