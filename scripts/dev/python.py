"""The Python environment of the checkout: .venv, brought to the locks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from running import BIN, LOCKS, PYTHON, ROOT, VENV, Refused, digest, quietly, stamp_of, step

OLDEST_PYTHON = (3, 11)


def fitting_python():
    """A Python new enough: $PYTHON, the one that runs this, or one on PATH."""
    names = [os.environ.get("PYTHON"), getattr(sys, "_base_executable", None) or sys.executable]
    names += ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"]
    for path in filter(None, (shutil.which(name) for name in names if name)):
        ask = [path, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON!r})"]
        if subprocess.run(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return path
    raise Refused(
        "livesale needs Python 3.11 or newer and found none; install one, or name it: PYTHON=/path/to/python3"
    )


def make_venv():
    if PYTHON.exists() and (BIN / ("uv.exe" if os.name == "nt" else "uv")).exists():
        return
    python = fitting_python()
    if subprocess.run([python, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL).returncode:
        raise Refused(
            f"{python} cannot make virtual environments: its `ensurepip` is missing. "
            "On Debian or Ubuntu run `apt-get install python3-venv` (as root), then try again."
        )
    with step("python: making .venv"):
        quietly(python, "-m", "venv", "--clear", VENV)
        # Every tool of this .venv sees the packages of the checkout, from any directory.
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = (
            subprocess.run([str(PYTHON), "-c", ask], stdout=subprocess.PIPE, check=True)
            .stdout.decode()
            .strip()
        )
        (Path(site) / "livesale-checkout.pth").write_text(f"{ROOT}\n")
        quietly(PYTHON, "-m", "pip", "install", "-qq", "--require-hashes", "-r", LOCKS / "uv.txt")


def install(*names):
    """Bring .venv to the named locks; what an earlier command installed on top stays (dev holds all of run)."""
    make_venv()
    stamp = VENV / "livesale-locks.json"
    installed = json.loads(stamp_of(stamp) or "{}")
    wanted = set(names) | set(installed)
    if "dev" in wanted:
        wanted.discard("run")
    digests = {name: digest([LOCKS / f"{name}.txt"]) for name in sorted(wanted)}
    if digests == installed:
        return
    with step("python: installing " + ", ".join(f"requirements/{name}.txt" for name in digests)):
        locks = [LOCKS / f"{name}.txt" for name in digests]
        quietly("uv", "pip", "sync", "--python", PYTHON, "--require-hashes", *locks)
    stamp.write_text(json.dumps(digests))
