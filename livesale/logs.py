"""What is worth a line in the log, and what is worth a traceback."""

from __future__ import annotations

import logging


class ClientsMistakes(logging.Filter):
    """A client that breaks the rules of the wire is no fault of ours: one line, whichever server tells it.

    uvicorn logs a traceback for a text frame that is not UTF-8, daphne for a protocol name that is not ASCII. Anybody
    may send those, without signing in and as often as they like.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if record.exc_info else None
        # daphne logs the traceback as the message
        told = record.msg.rstrip() if isinstance(record.msg, str) else ""
        is_told = told.startswith("Traceback") and told.rsplit("\n", 1)[-1].startswith("UnicodeDecodeError")
        if isinstance(raised, UnicodeDecodeError) or is_told:
            record.msg, record.args = "A client has sent what is no text.", None
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True
