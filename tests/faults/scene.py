"""The shop that a nemesis plays in: its rooms, its people, and how they are asked for tickets."""

from __future__ import annotations

import asyncio

from tests.proofs.stage import Stage


class Scene:
    """The shop, its rooms and people, and how they are asked for tickets."""

    def __init__(self, stage: Stage, *, people: int, stock: int, hold: int) -> None:
        self.stage = stage
        self.market = stage.open_market(
            name="Market", rooms=2, people=people, stock=stock, waitlist_cap=20, hold_for=hold
        )
        self.quiet = stage.open_market(name="Probes", rooms=1, people=8, stock=1_000_000, hold_for=1)
        self.delivery = stage.delivery_option(shop=self.market["shop"])
        self.people = [*self.market["people"], *self.quiet["people"], self.market["owner"]]
        # rows that setting the scene has left
        self.before: dict[str, int] = stage.rows(people=self.people)

    @property
    def rooms(self) -> list[str]:
        return list(self.market["rooms"])

    async def ticket(self, person: str) -> str:
        try:
            made = await asyncio.to_thread(self.stage.tickets, people=[person])
        except RuntimeError as error:
            raise EOFError("no ticket while the database is away") from error
        return str(made[0])
