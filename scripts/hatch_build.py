"""Put the built pages into the wheel, when they have been built (`python3 scripts/dev wheel` builds both)."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if (Path(self.root) / "frontend" / "dist").is_dir():
            build_data["force_include"]["frontend/dist"] = "frontend/dist"
