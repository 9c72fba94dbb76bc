"""Links are cut at random points, half of them come back to another process: every viewer ends where a fresh snapshot
says, by replay and by resync, and nobody is ever sent what is somebody else's."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests import processes
from tests.flows.viewer import Viewer
from tests.wire.client import Wire

CUTS = int(os.environ.get("FLOW_CUTS", "300"))
SEED = int(os.environ.get("FLOW_SEED", "20261123"))


def _world(env: dict[str, str]) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "tests.flows.world"],
        cwd=processes.ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    world: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return world


def _sdk(journal: list[dict[str, Any]], fresh: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The SDK's state after a journal, and its state from a fresh snapshot."""
    node = processes.ROOT / ".venv" / "bin" / "node"
    done = subprocess.run(
        [str(node) if node.exists() else "node", "tests/flows/replay.mjs"],
        cwd=processes.ROOT,
        input=json.dumps({"journal": journal, "fresh": fresh}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    both = json.loads(done.stdout)
    return both["state"], both["fresh"]


def _comparable(state: dict[str, Any], now: int) -> dict[str, Any]:
    """Without what is not told by events: a place in line (it moves as others leave), figures, passing values; and
    without what time alone has ended."""
    state = json.loads(json.dumps(state))
    state["sanctions"] = [s for s in state["sanctions"] if s["until"] is None or s["until"] > now + 5_000]
    if (state["me"]["muted_until"] or 0) < now + 5_000:
        state["me"]["muted_until"] = None
    state.pop("figures", None)
    state["latest"] = {k: v for k, v in state["latest"].items() if k.startswith("stock:")}
    for order in state["orders"]:
        for place in order["waiting"]:
            place.pop("place", None)
    return state


class Crowd:
    """People who act at random, over sockets on both processes."""

    def __init__(self, world: dict[str, Any], urls: list[str], chance: random.Random) -> None:
        self.world, self.urls, self.chance = world, urls, chance
        self.messages: list[str] = []
        self.lines: dict[str, list[str]] = {}
        self.orders: dict[str, list[str]] = {}
        self.refused: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.stop = False

    async def act(self, who: str, url: str) -> None:
        async with Wire(url) as wire:
            await wire.send("auth", resume=self.world["people"][who]["resume"])
            await wire.expect("hello", you={"id": self.world["people"][who]["id"], "name": who.title()})
            while not self.stop:
                stream, name, body = self.choose(who)
                answer = await wire.ask_for(stream, name, body)
                if answer["type"] == "error":
                    assert answer["code"] != "server.error", (name, body, answer)
                    self.refused[answer["code"]] = self.refused.get(answer["code"], 0) + 1
                else:
                    self.done[name] = self.done.get(name, 0) + 1
                    self.remember(who, answer["answer"])
                await asyncio.sleep(self.chance.uniform(0.05, 0.15))

    def remember(self, who: str, answer: dict[str, Any]) -> None:
        claim = answer.get("claim", answer)
        if claim.get("line"):
            self.lines.setdefault(who, []).append(claim["line"])
        if claim.get("order"):
            self.orders.setdefault(who, []).append(claim["order"])
        if answer.get("message"):
            self.messages.append(answer["message"])

    def choose(self, who: str) -> tuple[str, str, dict[str, Any]]:
        pick, room = self.chance.choice, self.world["room"]
        offer = pick(self.world["offers"])
        message = pick(self.messages) if self.messages else self.world["room"]
        line = pick(self.lines.get(who) or [self.world["room"]])
        everybody: list[tuple[str, dict[str, Any]]] = [
            ("say", {"text": f"canary-of-{who} {self.chance.random()}", "reply_to": message}),
            ("say", {"text": "sold 12 M x2"}),
            ("claim.place", {"offer": offer, "qty": self.chance.randint(1, 3)}),
            ("claim.cancel", {"line": line}),
            ("claim.cancel", {"line": line, "qty": 1}),
            ("claim.extend", {"line": line}),
            ("claim.pass", {"line": line}),
            ("message.report", {"message": message}),
        ]
        target = self.world["people"][pick(["other", "third"])]["id"]
        moderator: list[tuple[str, dict[str, Any]]] = [
            ("message.delete", {"message": message, "reason": "test"}),
            ("message.pin", {"message": message, "pinned": self.chance.random() < 0.6}),
            ("member.timeout", {"person": target, "seconds": 10}),
            ("member.unban", {"person": target}),
            ("member.clear", {"person": target}),
            ("room.configure", {"slow_seconds": pick([0, 1])}),
        ]
        order = pick(self.orders.get(pick(["buyer", "other", "third"])) or [room])
        host: list[tuple[str, dict[str, Any]]] = [
            ("offer.update", {"offer": offer, "price_minor": self.chance.randint(500, 3000)}),
            ("offer.update", {"offer": offer, "state": "open"}),
            ("offer.feature", {"offer": pick([offer, None])}),
            ("offer.reorder", {"offers": self.chance.sample(self.world["offers"], 3)}),
            ("drop.open", {"offer": offer, "allotment": 2, "duration_seconds": 10, "price_minor": 100}),
            ("drop.close", {"offer": offer}),
            (pick(["sale.pause", "sale.resume"]), {}),
            ("sale.resume", {}),
            ("room.announce", {"text": pick(["", "Welcome!", "Last ones"])}),
            ("order.mark_paid", {"order": order}),
            ("order.refund", {"order": order, "reason": "test"}),
        ]
        if who == "host" and self.chance.random() < 0.2:
            body = {"variant": pick(self.world["variants"]), "delta": self.chance.randint(1, 4)}
            return self.world["shop"], "stock.adjust", body
        table = {"host": host, "moderator": moderator + everybody[:1]}.get(who, everybody)
        name, body = pick(table)
        return room, name, body


async def _run(
    world: dict[str, Any], servers: list[processes.LiveProcess], prune: Callable[[], None]
) -> dict[str, Any]:
    chance = random.Random(SEED)
    urls = [f"{s.ws_url}/ws/" for s in servers]
    crowd = Crowd(world, urls, chance)
    actors = [
        asyncio.create_task(crowd.act(who, urls[i % 2]))
        for i, who in enumerate(["host", "moderator", "buyer", "hidden", "other", "third"])
    ]
    people = world["people"]
    viewers = [
        Viewer(name, world["room"], people[name]["resume"] if name in people else None)
        for name in ("guest", "buyer", "hidden", "moderator", "host")
    ]

    async def cut_again_and_again(viewer: Viewer) -> None:
        mine = random.Random(f"{SEED} {viewer.name}")
        for i in range(CUTS // len(viewers)):
            await viewer.watch(urls[mine.randrange(2)], mine.randint(1, 8))
            if i % 30 == 10:
                # a long absence, while the old part of the log goes
                await asyncio.sleep(0.3)
                await asyncio.to_thread(prune)

    try:
        await asyncio.gather(*(cut_again_and_again(v) for v in viewers))
    finally:
        crowd.stop = True
        done = await asyncio.gather(*actors, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    snapshots = await asyncio.gather(*(v.catch_up(urls[i % 2]) for i, v in enumerate(viewers)))
    fresh = {v.name: snapshot for v, snapshot in zip(viewers, snapshots, strict=True)}
    return {"viewers": viewers, "fresh": fresh, "crowd": crowd}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("layer", ["pubsub"])
def test_every_viewer_ends_where_a_fresh_snapshot_says(
    layer: processes.ChannelLayer, postgres_url: str, redis_server: Any, live_processes: Any
) -> None:
    options = {"database_url": postgres_url, "redis_url": redis_server.url, "channel_layer": layer}
    servers = live_processes(2, server="uvicorn", **options)
    world = _world(servers[0].env)

    def prune() -> None:
        code = f"from chat.log.streams import prune; from uuid import UUID; prune(UUID('{world['room']}'), keep=3)"
        processes.manage(servers[0].env, "shell", "-c", code)

    result = asyncio.run(_run(world, servers, prune))
    viewers, crowd = result["viewers"], result["crowd"]
    print(f"seed {SEED}; done {crowd.done}; refused {crowd.refused}")
    for v in viewers:
        print(f"{v.name}: {v.cuts} cuts, {v.replays} replays, {v.resyncs} resyncs, position {v.position}")
        state, fresh = _sdk(v.journal, result["fresh"][v.name])
        now = result["fresh"][v.name]["time"]
        mine, truth = _comparable(state, now), _comparable(fresh, now)
        assert mine.keys() == truth.keys()
        # what was pruned from the log is in no fresh snapshot; who was there still has it
        mine["messages"] = mine["messages"][len(mine["messages"]) - len(truth["messages"]) :]
        for key in truth:
            assert mine[key] == truth[key], f"{v.name}: {key}"
    assert sum(v.cuts for v in viewers) >= CUTS
    assert sum(v.replays for v in viewers) > 0
    assert sum(v.resyncs for v in viewers) > len(viewers)
    assert len(crowd.done) >= 15, "the crowd did too little to prove anything"
    by_name = {v.name: v for v in viewers}
    for line in crowd.lines.get("buyer", []):
        for v in viewers:
            if v.name != "buyer":
                assert line not in v.text(), f"{v.name} was sent a line of the buyer"
    for v in (by_name["guest"], by_name["buyer"]):
        assert "canary-of-hidden" not in v.text(), f"{v.name} was sent what a hidden person wrote"
    assert "canary-of-hidden" in by_name["moderator"].text()
    assert "canary-of-hidden" in by_name["hidden"].text()
    assert "no drift" in processes.manage(servers[0].env, "verify")
