"""Fields that several commands of a sale have, with their bounds."""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=30, le=14 * 86400)]
Price = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Cap = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=999)]
# Where null says that the limit stays, 0 says that there is none.
LimitOrNone = Annotated[int, msgspec.Meta(ge=0, le=999)]
# Unix milliseconds until the year 9999, the last that a date can have.
Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
