# ruff: noqa: S608 - conditions are constants of this package, values are parameters
"""What a batch knows of a room's rules against links and repeated texts.

Read after the lock on the room's head and counted on within the batch, as slow mode is: whatever tab, socket or process
a person writes from, the texts before are known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from chat.log.batch import Batch, Part
from chat.log.errors import Refused, describe
from chat.log.store import any_of, fetch, stamp
from chat.moderation.filters import alike, has_insecure_link, has_link, skeleton
from chat.rooms.book import RoomBook
from chat.rooms.models import Links
from chat.rooms.permissions import STAFF_ROLES

# How many of somebody's latest texts are compared with a new one.
REMEMBERED = 20

describe("message.links_off", "Links cannot be sent here.")
describe("message.links_staff", "Only the hosts can send links here.")
describe("message.links_https", "Only links that begin with https:// can be sent here.")
describe("message.repeated", "You have just written that. Wait {seconds} seconds, or write something else.")

Said = tuple[datetime, str]


class RulesBook(Part):
    """After `RoomBook`, whose rooms it asks about."""

    rank: ClassVar[int] = 12

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._wanted: set[tuple[UUID, UUID]] = set()
        # of rooms with a rule against repeated texts: when, and the text's skeleton, the latest last
        self._said: defaultdict[tuple[UUID, UUID], list[Said]] = defaultdict(list)

    def want(self, room_id: UUID, person_id: UUID) -> None:
        """Declare that somebody will write to a room."""
        self._wanted.add((room_id, person_id))

    def load(self, now: datetime) -> Iterator[None]:
        if not self._wanted:
            return
        yield
        rooms = self.batch.part(RoomBook).rooms
        ruled = {
            room_id: seconds
            for room_id, _ in self._wanted
            if room_id in rooms and (seconds := rooms[room_id].repeat_seconds)
        }
        self._load_said(now, ruled)

    def _load_said(self, now: datetime, ruled: dict[UUID, int]) -> None:
        people = {person_id for room_id, person_id in self._wanted if room_id in ruled}
        if not people:
            return
        rooms, room_ids = any_of("room_id", ruled)
        persons, person_ids = any_of("author_id", people)
        since = now - timedelta(seconds=max(ruled.values()))
        for room_id, person_id, at, text in fetch(
            "SELECT room_id, author_id, at, text FROM (SELECT room_id, author_id, at, text, ROW_NUMBER() OVER "
            "(PARTITION BY room_id, author_id ORDER BY at DESC) AS nth FROM message "
            f"WHERE {rooms} AND {persons} AND at > %s AND deleted_at IS NULL) AS latest "
            "WHERE nth <= %s ORDER BY nth DESC",
            [room_ids, person_ids, stamp(since), REMEMBERED],
            "uuts",
        ):
            self._said[room_id, person_id].append((at, skeleton(text)))

    def _rule(self, room_id: UUID) -> tuple[str, int]:
        """Links and repeat seconds, as this batch may have changed them by now."""
        room = self.batch.part(RoomBook).room(room_id)
        return room.changes.get("links", room.links), room.changes.get("repeat_seconds", room.repeat_seconds)

    def require(self, room_id: UUID, person_id: UUID, role: str, text: str) -> None:
        """Raise what somebody is to be told whose text the room's rules refuse."""
        links, repeat_seconds = self._rule(room_id)
        staff = role in STAFF_ROLES
        if (links == Links.OFF or not staff) and has_link(text):
            if links == Links.OFF:
                raise Refused("message.links_off")
            if links == Links.STAFF:
                raise Refused("message.links_staff")
            if has_insecure_link(text):
                raise Refused("message.links_https")
        if staff or not repeat_seconds:
            return
        bare, now = skeleton(text), self.batch.now
        window = timedelta(seconds=repeat_seconds)
        for at, said in reversed(self._said[room_id, person_id][-REMEMBERED:]):
            if now - at < window and alike(said, bare):
                # not temporary: nobody's client is to send it again by itself
                raise Refused("message.repeated", seconds=int((at + window - now).total_seconds()) + 1)

    def spoke(self, room_id: UUID, person_id: UUID, text: str) -> None:
        """Remember a text of this batch, so that the next one in it is judged with it."""
        if self._rule(room_id)[1]:
            self._said[room_id, person_id].append((self.batch.now, skeleton(text)))
