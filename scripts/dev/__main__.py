#!/usr/bin/env python3
"""Everything a contributor runs, from a bare checkout: `python3 scripts/dev COMMAND [ARGS]`.

    demo [ARGS]         set up, build the pages, start the demo (no root, no server, no configuration)
    test [ARGS]         set up, fetch the real servers the tests use, run pytest on SQLite and on PostgreSQL
    proofs [ARGS]       the proofs in full size: 12,000 claims on 100 units, twenty kills; minutes
    nemesis [ARGS]      faults by chance, every client's history against the database: `nemesis --minutes 20`
    soak [ARGS]         a crowd for an hour, and what grows meanwhile: `soak --minutes 60`
    check               linters, types, import contracts, security rules, migrations, generated documents
    audit               ask the advisory services what is known of the locked versions (needs the internet)
    side-by-side [--with REF]   an older version beside this one on one database under load; else the commit before
                        the newest migration
    fresh [ARGS]        a clone of the last commit with the newest versions that are allowed: does it serve?
    format              apply the formatter and the linter's safe fixes
    bench [ARGS]        every benchmark as a smoke test; `bench full` for the verdict, `bench orders` for one
    build [ARGS]        build the pages in frontend/
    wheel               build the pages and the wheel into dist/
    messages            collect the texts to translate into livesale/locale/*/*/django.po, and compile those files
    venv                only make .venv with the development tools
    lock [ARGS]         write requirements/*.txt anew from pyproject.toml (`lock --upgrade` takes newer versions)
    clean [--all]       remove what was built (--all: .venv too; never var/, which holds your data)

`make COMMAND ARGS="…"` is the same. Only the standard library is used; it runs on any Python 3.8+ and finds a 3.11+
for the environment itself. Steps whose inputs did not change are skipped, by digest.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from checking import audit, check, format_code
from locks import lock
from pages import build_frontend
from parts import install_gettext, install_real_parts, install_rivals
from python import install, make_venv
from running import BIN, FRONTEND, PYTHON, ROOT, VENV, Refused, become, quietly, shown, step


def demo(args):
    install("run")
    build_frontend()
    become(PYTHON, "manage.py", "demo", *args)


def test(args):
    install("dev")
    build_frontend()
    install_real_parts()
    if not args:
        print("tests: the front end's own", flush=True)
        if failed := shown("npm", "test", cwd=FRONTEND):
            return failed
    pytest = (PYTHON, "-m", "pytest")
    if any(arg.startswith("--database") for arg in args):
        return shown(*pytest, *args)
    if not args:  # everything: a file at a time to each worker, for the fixtures that a file shares are dear
        pytest = (
            *pytest,
            "-n",
            str(min(os.cpu_count() or 1, 4)),
            "--dist",
            "loadfile",
            "--no-loadscope-reorder",
        )
    print("tests: everything, on SQLite", flush=True)
    first = shown(*pytest, "-m", "not heavy", *args)
    if first not in (0, 5):  # 5: nothing selected by ARGS; it may all be in the other pass
        return first
    print("tests: those marked `database`, once more on PostgreSQL", flush=True)
    second = shown(*pytest, "--database=postgres", "-m", "database and not heavy", *args)
    return first if second == 5 else second


def proofs(args):
    """In full size: 12,000 claims on 100 units over three processes, twenty kills, and the controls.

    Then the long forms of other tests: 200,000 hostile frames, thousands of requests made from the OpenAPI document,
    5,000 clients that are cut off at once.
    """
    install("dev")
    install_real_parts()
    pytest = (PYTHON, "-m", "pytest", "-s")
    failed = shown(*pytest, "tests/proofs", *args)
    if args:
        return failed
    long_forms = (
        "tests/wire/test_hostile.py",
        "tests/rest/test_as_documented.py",
        "tests/flows/test_storm.py",
        "tests/flows/test_counts.py",
        "tests/wire/test_flood.py",
    )
    return shown(*pytest, "-m", "heavy", *long_forms) or failed


def nemesis(args):
    install("dev")
    install_real_parts()
    become(PYTHON, "-m", "tests.faults.nemesis", *args)


def soak(args):
    install("dev")
    install_real_parts()
    become(PYTHON, "-m", "tests.faults.soak", *args)


def side_by_side(args):
    install("dev")
    install_real_parts()
    if args[:1] == ["--with"] and len(args) > 1:
        os.environ["SIDE_BY_SIDE_WITH"] = args[1]
        args = args[2:]
    return shown(PYTHON, "-m", "pytest", "-s", "-m", "heavy", "tests/proofs/test_side_by_side.py", *args)


def fresh(args):
    """What a newcomer gets who takes no lock: an upstream release that breaks us is seen here first."""
    make_venv()
    install_real_parts()
    with tempfile.TemporaryDirectory(prefix="livesale-fresh-") as folder:
        clone, python = Path(folder) / "livesale", Path(folder) / "venv" / PYTHON.relative_to(VENV)
        with step("fresh: cloning the last commit"):
            quietly("git", "clone", "-q", ROOT, clone)
        with step("fresh: the locked versions, and the pages"):
            quietly(sys.executable, "scripts/dev", "build", cwd=clone)
        with step("fresh: the newest versions that pyproject.toml allows"):
            quietly(PYTHON, "-m", "venv", python.parent.parent)
            quietly("uv", "pip", "install", "--python", python, ".", "--group", "test", cwd=clone)
        shown("uv", "pip", "list", "--python", python, "--outdated")
        quietly("uv", "pip", "check", "--python", python)
        quietly(python, "manage.py", "makemigrations", "--check", "--dry-run", cwd=clone)
        tests = args or ["tests/test_checks.py", "tests/rest/test_health.py", "tests/wire/test_frames.py"]
        return shown(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=clone)


def bench(args):
    """All of them as a smoke test, `bench full` for the verdict, or one: `bench orders --quick`."""
    everything = not args or args[0].startswith("-") or args[0] == "full"
    install("dev")
    install_real_parts()
    if everything or args[0] == "fanout":
        install_rivals()
    if everything:
        become(PYTHON, "-m", "tests.bench", *(["--full", *args[1:]] if args[:1] == ["full"] else args))
    become(PYTHON, "-m", f"tests.bench.{args[0]}", *args[1:])


def build(_args):
    install("run")
    build_frontend()


def wheel(_args):
    install("dev")
    build_frontend()
    return shown(BIN / "uv", "build", "--wheel", "--python", PYTHON)


def messages(_args):
    """The compiled files are committed: only who changes texts needs gettext."""
    install("dev")
    install_gettext()
    languages = sorted((ROOT / "livesale" / "locale").glob("*/LC_MESSAGES"))
    collect = [PYTHON, "manage.py", "makemessages", *(f"--locale={path.parent.name}" for path in languages)]
    failed = shown(*collect)
    for path in languages:
        failed |= shown(
            "msgfmt", "--check-format", "--statistics", path / "django.po", "-o", path / "django.mo"
        )
    return failed


def venv(_args):
    install("dev")


def clean(args):
    paths = [FRONTEND / "dist", FRONTEND / "node_modules", ROOT / "dist", ROOT / "build"]
    paths += [
        ROOT / name
        for name in (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")
    ]
    if "--all" in args:
        paths.append(VENV)
    for package in ("livesale", "chat", "commerce", "tests", "scripts"):
        paths += (ROOT / package).rglob("__pycache__")
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


COMMANDS = {
    "demo": demo,
    "test": test,
    "check": check,
    "audit": audit,
    "side-by-side": side_by_side,
    "fresh": fresh,
    "proofs": proofs,
    "nemesis": nemesis,
    "soak": soak,
    "format": format_code,
    "bench": bench,
    "build": build,
    "wheel": wheel,
    "messages": messages,
    "venv": venv,
    "lock": lock,
    "clean": clean,
}


def main(argv):
    if not argv or argv[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if argv[:1] in (["-h"], ["--help"], ["help"]) else 2
    try:
        return COMMANDS[argv[0]](argv[1:]) or 0
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
