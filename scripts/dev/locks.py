"""The locked versions in requirements/, and whether they are what pyproject.toml asks for."""

from python import make_venv
from running import BIN, ROOT, shown


def lock_recipes():
    common = [
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-header",
    ]
    compile_ = [BIN / "uv", "pip", "compile", "-q", *common]
    # Relative names: uv writes them into the locks as comments.
    yield "requirements/run.txt", [*compile_, "pyproject.toml"]
    yield (
        "requirements/dev.txt",
        [*compile_, "pyproject.toml", "--group", "dev", "-c", "requirements/run.txt"],
    )
    yield "requirements/node.txt", [*compile_, "--group", "pyproject.toml:node"]
    yield (
        "requirements/audit.txt",
        [*compile_, "--group", "pyproject.toml:audit", "-c", "requirements/dev.txt"],
    )


def lock(args):
    make_venv()
    for target, command in lock_recipes():
        if shown(*command, "-o", target, *args):
            return 1
    print("requirements/: written; run `make test` before you commit them")
    return 0


def pins(lock_text):
    """Without the hashes: those grow when a project uploads another wheel of the same version."""
    return [
        line.rstrip(" \\") for line in lock_text.splitlines() if "==" in line and not line.startswith(" ")
    ]


def lock_is_current():
    """Every requirement of pyproject.toml is pinned by the locks (resolved anew, keeping their pins)."""
    stale = []
    for target, command in lock_recipes():
        path = ROOT / target
        before = path.read_text()
        try:
            if shown(*command, "-o", target) or pins(path.read_text()) != pins(before):
                stale.append(target)
        finally:
            path.write_text(before)
    if stale:
        print(f"{', '.join(stale)}: not what pyproject.toml asks for; run `make lock`")
    return len(stale)
