"""The end of a serving process: SIGTERM lets it finish first.

Neither server does: daphne drops its sockets without a word, uvicorn closes them before the application hears of it.
So the signal is taken in front of the server's own handler, which gets it when everything is done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

logger = logging.getLogger(__name__)

# After this long the server ends whatever is unfinished, in seconds.
PATIENCE = 20.0
# The server has this long to end by itself, in seconds. Requests that it has cut off may leave threads behind that
# wait for its loop for ever, and Python would wait for those.
LAST = 8.0


def before_the_server_ends(finish: Callable[[], Awaitable[None]]) -> None:
    """On SIGTERM run `finish` on the running loop, then let the server end. A second SIGTERM ends it at once.

    Called from the loop when the server has installed its own handlers. Where signals are somebody else's (the
    development server's reloading thread), nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    servers_own = signal.getsignal(signal.SIGTERM)
    tasks: set[asyncio.Task[None]] = set()

    def end() -> None:
        # all that was taken is committed and told by now
        last = threading.Timer(LAST, os._exit, (0,))
        last.daemon = True
        last.start()
        signal.signal(signal.SIGTERM, servers_own)
        signal.raise_signal(signal.SIGTERM)

    async def finish_first() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await finish()
        except Exception as error:
            logger.warning("not everything could be finished: %s", type(error).__name__)
        finally:
            end()

    def heard(_number: int, _frame: FrameType | None) -> None:
        if tasks:
            end()
        else:
            # a signal handler runs between two instructions of anything: the loop does the work
            loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(finish_first())))

    signal.signal(signal.SIGTERM, heard)
