"""What need not begin: requests that a gate knows to be refused are answered without locks and without a transaction.

A gate never accepts anything, and a repeat comes before it: an id that was carried out gets its first answer, whatever
the gate knows. Its refusals leave no receipt, as others leave none; the same id is judged anew when it comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import Error

from chat.log import registry, store
from chat.log.batch import Request

logger = logging.getLogger(__name__)


def pass_on(requests: Sequence[Request]) -> list[Request]:
    """Answer those that a gate turns away, or that are repeats of what was carried out; returns the others."""
    refused: dict[int, Exception] = {}
    for gate in registry.GATES:
        refused |= gate(requests)
    if not refused:
        return list(requests)
    try:
        receipts = store.find_receipts([requests[at] for at in refused])()
    except Error as error:
        # nobody is turned away who might have an answer
        logger.warning("gates stay open: %s", type(error).__name__)
        return list(requests)
    for at, refusal in refused.items():
        request = requests[at]
        known = receipts.get(request.key)
        if known is None:
            request.error = refusal
        else:
            request.repeat(*known)
    return [request for at, request in enumerate(requests) if at not in refused]
