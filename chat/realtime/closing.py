"""Close codes. The number alone tells the client what to do; the reason is for people who debug.

4000-4099: connect again and resume. 4100-4199: connect again after `retry_after`. 4400-4499: stop until the person
has done something.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    SLOW = 4000
    GOING_AWAY = 4001
    SILENT = 4002
    BUSY = 4100
    TOO_MANY_ERRORS = 4400
    SIGN_IN_AGAIN = 4401
    ORIGIN = 4403
    TOO_MANY_SOCKETS = 4409
    TOO_OLD = 4426


MEANING: dict[CloseCode, str] = {
    CloseCode.SLOW: "The client did not read fast enough. Connect again and resume.",
    CloseCode.GOING_AWAY: "The server is being restarted. Connect again, after a random part of a few seconds.",
    CloseCode.SILENT: "Nothing was heard from the client for too long. Connect again and resume.",
    CloseCode.BUSY: "The server takes no new connections just now. Connect again later.",
    CloseCode.TOO_MANY_ERRORS: "Too many frames could not be understood. Do not connect again by yourself.",
    CloseCode.SIGN_IN_AGAIN: "The session has ended. Connect again as a guest, or sign in.",
    CloseCode.ORIGIN: "The page's origin may not open a socket here.",
    CloseCode.TOO_MANY_SOCKETS: "This person has too many sockets open; the oldest is closed.",
    CloseCode.TOO_OLD: "The client speaks a version of the protocol that is not served. Reload the page.",
}
