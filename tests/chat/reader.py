"""What a client makes of snapshot and events, in the fewest words: the rule that the SDK follows, too."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from chat.log import reading
from chat.log.visibility import Viewer, visible
from chat.rooms.permissions import PERMISSIONS

SHOWN = 50


class Reader:
    def __init__(self, room: UUID, person: UUID | None) -> None:
        self.room = room
        self.person = str(person) if person else None
        access = reading.access([room], person)[room]
        assert access.read
        self.viewer = Viewer(person, access.staff)
        self.take_snapshot()

    def take_snapshot(self) -> None:
        snapshot = json.loads(reading.snapshot(self.room, self.viewer))
        self.seq: int = snapshot["seq"]
        self.state: dict[str, Any] = snapshot["public"] | snapshot["personal"]
        for other in ("sale", "orders", "figures", "tally"):
            # other subjects have their own tests
            self.state.pop(other, None)
        for sanction in self.state["sanctions"]:
            # an event names a person by id; the name is shown beside it
            del sanction["name"]

    def catch_up(self) -> None:
        head = reading.positions([self.room])[self.room].seq
        for e in reading.events_after(self.room, self.seq, head, limit=100_000):
            assert e.seq == self.seq + 1
            self.seq = e.seq
            if visible(e.audience, e.person_id, self.viewer):
                event = json.loads(e.wire)
                assert event["seq"] == e.seq
                self.apply(event["kind"], event["body"], event["at"])
        assert self.seq == head

    def apply(self, kind: str, body: dict[str, Any], at: int) -> None:
        s = self.state
        match kind:
            case "message.sent":
                s["messages"] = [*s["messages"], body][-SHOWN:]
            case "message.deleted":
                self._forget([m for m in s["messages"] if m["message"] == body["message"]])
                s["reports"] = [r for r in s["reports"] if r["message"] != body["message"]]
            case "message.pinned":
                s["pins"] = [body, *s["pins"]]
            case "message.unpinned":
                s["pins"] = [p for p in s["pins"] if p["message"] != body["message"]]
            case "message.reported":
                known = [r for r in s["reports"] if r["message"] == body["message"]]
                if known:
                    known[0]["reports"] = body["reports"]
                else:
                    s["reports"] = [*s["reports"], body]
            case "reports.settled":
                s["reports"] = [r for r in s["reports"] if r["message"] != body["message"]]
            case "room.changed":
                s["room"] = body
            case "member.joined" if body["person"] == self.person:
                self._be("member")
            case "member.left" if body["person"] == self.person:
                self._be("guest")
            case "member.cleared":
                self._forget([m for m in s["messages"] if m["person"] == body["person"]])
                s["reports"] = [r for r in s["reports"] if r["person"] != body["person"]]
            case "member.timed_out":
                if body["person"] == self.person:
                    s["me"]["muted_until"] = body["until"]
                self._sanction(body["person"], "timeout", body["until"])
            case "member.hidden":
                self._sanction(body["person"], "hide")
            case "member.banned":
                self._sanction(body["person"], "ban", everywhere=body["everywhere"])
            case "member.unbanned":
                if body["person"] == self.person:
                    s["me"]["muted_until"] = None
                s["sanctions"] = [
                    x
                    for x in s["sanctions"]
                    if x["person"] != body["person"] or (x["everywhere"] and not body["everywhere"])
                ]

    def _be(self, role: str) -> None:
        self.state["me"] |= {"role": role, "permissions": sorted(PERMISSIONS[role])}

    @staticmethod
    def _forget(messages: list[dict[str, Any]]) -> None:
        for message in messages:
            message |= {"text": "", "deleted": True}

    def _sanction(self, person: str, kind: str, until: int | None = None, everywhere: bool = False) -> None:
        if self.viewer.staff:
            entry = {"person": person, "kind": kind, "until": until, "everywhere": everywhere}
            others = [x for x in self.state["sanctions"] if x | {"until": until} != entry]
            self.state["sanctions"] = [entry, *others]
