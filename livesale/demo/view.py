"""What one client knows of the sale room: the snapshot, and the events after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Offer = dict[str, Any]


class View:
    """The sale, its offers, stock and one's own orders. `news(kind, body)` hears each event after it was taken in."""

    def __init__(self, news: Callable[[str, dict[str, Any]], None]) -> None:
        self._news = news
        self.sale: dict[str, Any] | None = None
        self.offers: dict[str, Offer] = {}
        self.stock: dict[str, tuple[int, dict[str, int]]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.person = ""
        self._skew = 0.0

    # --- reading ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """The server's clock, in Unix milliseconds."""
        return time.time() * 1000 + self._skew

    @property
    def live(self) -> bool:
        return self.sale is not None and self.sale["state"] == "live"

    @property
    def featured(self) -> Offer | None:
        return self.offers.get(self.sale["featured"] or "") if self.sale is not None else None

    def free(self, offer: Offer) -> int:
        return max(0, self.stock.get(offer["offer"], (0, {"free": 0}))[1]["free"])

    def open_now(self, offer: Offer) -> bool:
        drop = offer["drop"]
        return offer["state"] == "open" and (
            drop is None or drop["opens_at"] <= self.now() < drop["closes_at"]
        )

    def queue(self) -> list[Offer]:
        return sorted(self.offers.values(), key=lambda o: o["position"])

    def drop(self) -> Offer | None:
        """The drop that is counting down or running."""
        return next(
            (o for o in self.offers.values() if o["drop"] and o["drop"]["closes_at"] > self.now()), None
        )

    # --- hearing ------------------------------------------------------------------------------------------------

    def heard(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "values":
            self._values(frame["values"])
        elif frame["type"] == "events":
            for event in frame["events"]:
                self._event(event["kind"], event["body"])
                self._news(event["kind"], event["body"])
        elif frame.get("snapshot"):
            self._snapshot(frame["snapshot"])
            self._news("snapshot", {})

    def _snapshot(self, snapshot: dict[str, Any]) -> None:
        self._skew = snapshot["time"] - time.time() * 1000
        sale = snapshot["public"].get("sale")
        self.sale = sale
        self.offers = {o["offer"]: o for o in sale["offers"]} if sale else {}
        self.person = str(snapshot["personal"]["me"]["person"])
        self.orders = {o["order"]: o for o in snapshot["personal"].get("orders") or []}
        self._values(snapshot["latest"])

    def _values(self, values: dict[str, Any]) -> None:
        for key, (version, value) in values.items():
            kind, _, subject = key.partition(":")
            if kind == "stock" and version >= self.stock.get(subject, (0, {}))[0]:
                self.stock[subject] = (version, value)

    def _event(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "sale.changed":
            ended = body["state"] == "ended"
            if self.sale is None or self.sale["sale"] != body["sale"]:
                self.offers = {}
            self.sale = None if ended else body
        elif kind == "offer.changed":
            self.offers[body["offer"]] = body
        elif kind == "offer.removed":
            self.offers.pop(body["offer"], None)
        elif kind == "offer.reordered":
            for position, offer_id in enumerate(body["offers"]):
                if offer_id in self.offers:
                    self.offers[offer_id]["position"] = position
        elif kind == "order.changed" and "lines" in body:
            self.orders[body["order"]] = body
        elif kind == "claim.answered":
            self._claimed(body)
        elif kind == "offer.claimed":
            counts = {name: body[name] for name in ("free", "held", "sold", "waiting")}
            self._values({f"stock:{body['offer']}": [body["version"], counts]})

    def _claimed(self, answer: dict[str, Any]) -> None:
        """A claim's answer tells what it added to the basket; the whole order comes when it changes otherwise."""
        order = self.orders.setdefault(
            answer["order"], {"order": answer["order"], "state": "open", "lines": [], "waiting": []}
        )
        if answer["line"]:
            order["lines"].append(
                {
                    "line": answer["line"],
                    "qty": answer["got"],
                    "state": "held",
                    "turn": False,
                    "extended": False,
                }
            )
        if answer["wait"]:
            order["waiting"].append({"waiting": answer["wait"], "qty": answer["waiting"]})
