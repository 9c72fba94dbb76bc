"""Who may see which event. The one rule behind live frames, replay, history, snapshot, REST and export."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from chat.log.models import Audience


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at one stream: a person (or a guest, None), perhaps as its staff."""

    person_id: UUID | None
    staff: bool = False


def visible(audience: int, person_id: UUID | None, viewer: Viewer) -> bool:
    """Whether `viewer` may see an event with this audience."""
    if audience == Audience.PUBLIC:
        return True
    if audience == Audience.STAFF:
        return viewer.staff
    own = viewer.person_id is not None and viewer.person_id == person_id
    if audience == Audience.PERSON:
        return own
    return own or viewer.staff


def visible_q(viewer: Viewer) -> Q:
    """The same rule as `visible`, for a query over events."""
    rule = Q(audience=Audience.PUBLIC)
    if viewer.staff:
        rule |= Q(audience__in=[Audience.STAFF, Audience.AUTHOR])
    if viewer.person_id is not None:
        rule |= Q(audience__in=[Audience.PERSON, Audience.AUTHOR], person_id=viewer.person_id)
    return rule
