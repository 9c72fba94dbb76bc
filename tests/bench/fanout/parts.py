"""Programs the benchmark needs: our two in C, the Node rivals' packages, nginx with nchan. Missing ones say so."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.services import MissingPart

HERE = Path(__file__).resolve().parent
BUILT = HERE / ".build"
NODE_MODULES = HERE / "node_modules"
OLDEST_NODE = 18
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NODE_PACKAGES = ("socket.io", "@socket.io/redis-adapter", "redis", "ws", "ioredis")
PYTHON_PACKAGES = (
    "Django",
    "channels",
    "channels_redis",
    "redis",
    "daphne",
    "Twisted",
    "autobahn",
    "uvicorn",
    "uvloop",
    "websockets",
)


def compiled(name: str) -> Path:
    """The program of `name`.c, compiled anew when its source has changed."""
    sources = [HERE / f"{name}.c", HERE / "frames.h"]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    program = BUILT / f"{name}-{digest}"
    if program.exists():
        return program
    cc = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not cc:
        raise MissingPart("no C compiler (Debian: gcc and libc6-dev)")
    BUILT.mkdir(exist_ok=True)
    # beside each other in several processes: each compiles its own, the last one stays
    handle, unfinished = tempfile.mkstemp(dir=BUILT)
    os.close(handle)
    words = [cc, "-O2", "-Wall", "-Wextra", "-o", unfinished, str(sources[0])]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        os.unlink(unfinished)
        raise MissingPart(f"{name}.c does not compile here:\n{done.stderr}")
    for old in BUILT.glob(f"{name}-*"):
        old.unlink(missing_ok=True)
    os.replace(unfinished, program)
    return program


def node() -> str:
    """The program itself, not a wrapper that starts it as a child."""
    found = shutil.which("node")
    if not found:
        raise MissingPart("node is not installed")
    said = subprocess.run(
        [found, "-p", "process.execPath + ' ' + process.versions.node"], capture_output=True, text=True
    )
    path, _, number = said.stdout.strip().rpartition(" ")
    if said.returncode or int(number.split(".")[0]) < OLDEST_NODE:
        raise MissingPart(f"node {OLDEST_NODE} or newer is needed, {found} is {number or 'broken'}")
    return path


def node_packages() -> Path:
    """`node_modules` as the lock has it."""
    lock = HERE / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = NODE_MODULES / ".fanout-lock"
    if not stamp.exists() or stamp.read_text() != digest:
        npm = shutil.which("npm")
        if not npm:
            raise MissingPart("npm is not installed")
        words = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(words, cwd=HERE, capture_output=True, text=True)
        if done.returncode:
            raise MissingPart(f"npm could not install the Node rivals:\n{done.stderr[-2000:]}")
        stamp.write_text(digest)
    return NODE_MODULES


def nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not found or not NCHAN_MODULE.exists():
        raise MissingPart("nginx with nchan is not installed (Debian: nginx and libnginx-mod-nchan)")
    return found


def versions() -> str:
    """Everything that was compared, in one line."""
    said = []
    for name in PYTHON_PACKAGES:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    for name in NODE_PACKAGES:
        path = NODE_MODULES / name / "package.json"
        if path.exists():
            said.append(f"{name} (npm) {json.loads(path.read_text())['version']}")
    for words in (["node", "--version"], ["redis-server", "--version"], ["cc", "--version"]):
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True)
            said.append(f"{words[0]}: {done.stdout.splitlines()[0].strip()}")
    if NCHAN_MODULE.exists():
        ask = ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", "nginx", "libnginx-mod-nchan"]
        if shutil.which("dpkg-query"):
            said.append(subprocess.run(ask, capture_output=True, text=True).stdout.rstrip(", "))
    return ", ".join(said)
