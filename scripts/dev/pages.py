"""The pages in frontend/: a Node new enough, their packages, and the build."""

import os
import shutil
import subprocess
from pathlib import Path

from python import install
from running import BIN, FRONTEND, digest, quietly, stamp_of, step

OLDEST_NODE = (22, 12)  # what Vite and vitest ask for


def node_is_old():
    outside = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != BIN)
    node, npm = shutil.which("node", path=outside), shutil.which("npm", path=outside)
    if not (node and npm):
        return True
    said = subprocess.run([node, "--version"], stdout=subprocess.PIPE).stdout.decode()
    try:
        return tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2]) < OLDEST_NODE
    except ValueError:
        return True


def frontend_sources():
    built = {"node_modules", "dist", "coverage", "test-results", ".vite"}
    for folder, below, files in os.walk(FRONTEND):
        below[:] = sorted(set(below) - built)
        for name in sorted(files):
            yield Path(folder) / name


def build_frontend():
    if not (FRONTEND / "package.json").exists():
        return
    if node_is_old():
        install("node")
    package_lock = FRONTEND / "package-lock.json"
    packages = [path for path in (FRONTEND / "package.json", package_lock) if path.exists()]
    stamp = FRONTEND / "node_modules" / ".livesale-lock"
    if stamp_of(stamp) != digest(packages):
        with step("front end: installing packages"):
            quietly(
                "npm", "ci" if package_lock.exists() else "install", "--no-audit", "--no-fund", cwd=FRONTEND
            )
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest(packages))
    stamp = FRONTEND / "dist" / ".livesale-sources"
    sources = digest(frontend_sources())
    if stamp_of(stamp) != sources:
        with step("front end: building"):
            quietly("npm", "run", "build", cwd=FRONTEND)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(sources)
