"""What must hold before a change lands, but for the tests; and what is known against the locked versions."""

import subprocess

from advisories import audited
from locks import lock_is_current
from pages import build_frontend, node_is_old
from python import install
from running import BIN, FRONTEND, LOCKS, PYTHON, ROOT, environment, shown

SOURCES = ("chat", "commerce", "livesale", "scripts", "manage.py")


def check(_args):
    install("dev")
    manage = (PYTHON, "manage.py")
    steps = [
        ("uv", "lock check", lock_is_current),
        ("ruff", "lint", (BIN / "ruff", "check")),
        ("ruff", "format", (BIN / "ruff", "format", "--check")),
        ("mypy", "types", (BIN / "mypy",)),
        ("import-linter", "who may import whom", (BIN / "lint-imports",)),
        ("bandit", "security", (BIN / "bandit", "-q", "-c", "pyproject.toml", "-r", *SOURCES)),
        ("hadolint", "the sample of an image", (BIN / "hadolint", "deploy/container/Dockerfile")),
        (
            "check-jsonschema",
            "the sample of containers",
            (
                BIN / "check-jsonschema",
                "--builtin-schema",
                "vendor.compose-spec",
                "deploy/container/compose.yaml",
            ),
        ),
        ("django", "migrations", (*manage, "makemigrations", "--check", "--dry-run")),
        ("django", "system check", (*manage, "check")),
        ("docs", "generated pages are current", (*manage, "generate_docs", "--check")),
    ]
    build_frontend()
    steps.append(("svelte-check", "types of the front end", svelte_check))
    failed = []
    for tool, what, command in steps:
        print(f"--- {tool}: {what}", flush=True)
        if command() if callable(command) else shown(*command):
            failed.append(f"{tool} ({what})")
    print("check: failed: " + ", ".join(failed) if failed else "check: all passed", flush=True)
    return 1 if failed else 0


def svelte_check():
    return shown("npm", "run", "--silent", "check", cwd=FRONTEND)


def format_code(_args):
    install("dev")
    return shown(BIN / "ruff", "check", "--fix") | shown(BIN / "ruff", "format")


def audit(_args):
    """Advisories are asked of services on the internet: whoever cannot reach them has audited nothing, and is told."""
    install("dev", "audit")
    failed = False
    for name in ("run", "dev", "node", "audit"):
        lock = LOCKS / f"{name}.txt"
        print(f"--- pip-audit: {lock.relative_to(ROOT)}", flush=True)
        done = subprocess.run(
            [
                str(BIN / "pip-audit"),
                "-f",
                "json",
                "--progress-spinner=off",
                "--disable-pip",
                "--require-hashes",
                "-r",
                str(lock),
            ],
            env=environment(),
            capture_output=True,
        )
        complaints = audited(done.stdout.decode(), done.stderr.decode())
        print("\n".join(complaints) or "nothing is known against them", flush=True)
        failed = failed or bool(complaints)
    print("--- npm audit: frontend/package-lock.json", flush=True)
    if node_is_old():
        install("node")
    failed = bool(shown("npm", "audit", "--package-lock-only", cwd=FRONTEND)) or failed
    return 1 if failed else 0
