"""Programs run from the checkout: quietly, in sight, or instead of us; and what has changed since."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOCKS = ROOT / "requirements"
FRONTEND = ROOT / "frontend"


class Refused(Exception):
    """A sentence for the person at the terminal; no traceback."""


def environment():
    """The children's environment: .venv first, bytecode allowed (without it every start takes 3 s longer)."""
    env = dict(os.environ, VIRTUAL_ENV=str(VENV), UV_PYTHON_DOWNLOADS="never")
    env["PATH"] = str(BIN) + os.pathsep + env.get("PATH", "")
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME"):
        env.pop(name, None)
    return env


@contextmanager
def step(what):
    print(what + " …", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - start:.0f} s", flush=True)


def quietly(*command, cwd=ROOT, hint=""):
    """Run to the end; show what it said only when it failed."""
    words = [str(word) for word in command]
    words[0] = shutil.which(words[0], path=environment()["PATH"]) or words[0]
    done = subprocess.run(words, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        output = done.stdout.decode(errors="replace").rstrip()
        raise Refused("\n".join(filter(None, [output, f"failed: {' '.join(words)}", hint])))


def shown(*command, cwd=ROOT):
    """Run with our terminal and return the exit code."""
    sys.stdout.flush()
    words = [str(word) for word in command]
    words[0] = shutil.which(words[0], path=environment()["PATH"]) or words[0]
    return subprocess.run(words, cwd=cwd, env=environment()).returncode


def become(*command):
    """Turn into the command, so that signals and the exit code are its own."""
    sys.stdout.flush()
    words = [str(word) for word in command]
    if os.name == "nt":
        raise SystemExit(shown(*words))
    os.chdir(ROOT)
    os.execve(words[0], words, environment())


def digest(paths):
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def stamp_of(path):
    return path.read_text() if path.exists() else ""
