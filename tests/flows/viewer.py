"""A viewer whose link is cut again and again, and who keeps everything heard as a client would."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.wire.client import Wire


@dataclass
class Viewer:
    """Follows one stream through cuts. `journal` is what the SDK would have been given, in order."""

    name: str
    stream: str
    resume: str | None
    journal: list[dict[str, Any]] = field(default_factory=list)
    position: int | None = None
    epoch: int | None = None
    replays: int = 0
    resyncs: int = 0
    cuts: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def watch(self, url: str, frames: int) -> None:
        """Connect, resume, take about `frames` more frames, and have the link cut without a word."""
        async with Wire(url) as wire:
            await self._enter(wire)
            taken = len(wire.frames)
            for _ in range(100):
                if len(wire.frames) - taken >= frames:
                    break
                await asyncio.sleep(0.01)
            wire.abort()
            self.cuts += 1
        self._keep(wire.frames)

    async def catch_up(self, url: str) -> dict[str, Any]:
        """Connect once more until all is quiet; then a fresh snapshot of the very moment this viewer has reached."""
        async with Wire(url) as wire:
            await self._enter(wire)
            for _ in range(60):
                async with Wire(url) as other:
                    if self.resume:
                        await other.send("auth", resume=self.resume)
                    await other.send("join", streams=[{"stream": self.stream}])
                    fresh = (await other.expect("joined", mode="resync"))["snapshot"]
                # latest values are exact a second after quiet
                await asyncio.sleep(1.2)
                self._keep(wire.frames)
                wire.frames.clear()
                if self.position == fresh["seq"]:
                    return dict(fresh)
            raise AssertionError(f"{self.name} stays at {self.position}, the log at {fresh['seq']}")

    async def _enter(self, wire: Wire) -> None:
        if self.resume:
            await wire.send("auth", resume=self.resume)
        where: dict[str, Any] = {"stream": self.stream}
        if self.position is not None:
            where |= {"after": self.position, "epoch": self.epoch}
        await wire.send("join", streams=[where])

    def _keep(self, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            self.heard.append(frame)
            if frame.get("stream") != self.stream:
                continue
            if frame["type"] == "joined":
                if frame["mode"] == "resync":
                    self.resyncs += 1
                    self.journal.append(frame)
                    self.position, self.epoch = frame["seq"], frame["epoch"]
                else:
                    self.replays += 1
            elif frame["type"] == "events":
                assert self.position is not None, f"{self.name}: events before a snapshot"
                assert frame["first"] <= self.position + 1, (
                    f"{self.name}: a hole at {self.position}: {frame['first']}"
                )
                self.journal.append(frame)
                self.position = max(self.position, frame["last"])
            elif frame["type"] == "values" and self.position is not None:
                self.journal.append(frame)
            elif frame["type"] == "left":
                raise AssertionError(f"{self.name} was put out: {frame['code']}")

    def text(self) -> str:
        """Everything this viewer was ever sent, for canaries."""
        return json.dumps(self.heard)
