#!/usr/bin/env python3
"""Everything a contributor runs, from a bare checkout: `python3 scripts/dev.py COMMAND [ARGS]`.

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

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOCKS = ROOT / "requirements"
FRONTEND = ROOT / "frontend"
SOURCES = ("chat", "commerce", "livesale", "scripts", "manage.py")
OLDEST_PYTHON = (3, 11)
OLDEST_NODE = (22, 12)  # what Vite and vitest ask for


class Refused(Exception):
    """A sentence for the person at the terminal; no traceback."""


# --- running things -----------------------------------------------------------------------------------------------


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


# --- the Python environment ---------------------------------------------------------------------------------------


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


# --- the pages ----------------------------------------------------------------------------------------------------


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


# --- the real servers that tests use ------------------------------------------------------------------------------


def missing_parts():
    """Debian packages of the real parts that are neither here nor named by a TEST_ variable."""
    chromium = ("chromium", "chromium-browser", "google-chrome")
    initdb = any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb")
    parts = {
        ("redis-server",): os.environ.get("TEST_REDIS_URL") or shutil.which("redis-server"),
        ("postgresql",): os.environ.get("TEST_DATABASE_URL") or initdb,
        # tests/faults runs a process under a wrong clock
        ("faketime",): shutil.which("faketime"),
        # tests/deploy runs the samples of proxies
        ("nginx",): shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"),
        ("caddy",): shutil.which("caddy"),
        # the load generator of tests/bench/fanout is checked by the tests
        ("gcc", "libc6-dev"): shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"),
        ("chromium", "fonts-liberation", "fonts-noto-color-emoji"): os.environ.get("TEST_CHROMIUM")
        or any(map(shutil.which, chromium)),
    }
    return [package for packages, present in parts.items() if not present for package in packages]


def install_real_parts():
    install_by_apt(
        missing_parts,
        "The tests use real servers and a real browser; missing: {packages}. Install them, or name yours: "
        "TEST_REDIS_URL, TEST_DATABASE_URL, TEST_CHROMIUM (path of the program).",
        "tests",
    )


def install_gettext():
    install_by_apt(
        lambda: [] if shutil.which("xgettext") and shutil.which("msgfmt") else ["gettext"],
        "The texts are collected by GNU gettext; missing: {packages}. Install it.",
        "messages",
    )


def install_rivals():
    """What tests/bench/fanout compares with, as far as it can be had here; its report says what is missing."""
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
    try:
        if not shutil.which("node", path=environment()["PATH"]):
            install("node")
        install_by_apt(
            lambda: [] if module.exists() else ["nginx", "libnginx-mod-nchan"],
            "A rival of the benchmark is missing: {packages}.",
            "bench",
        )
    except Refused as reason:
        print(reason, flush=True)


def install_by_apt(missing, elsewhere, whose):
    packages = missing()
    if not packages:
        return
    elsewhere = elsewhere.format(packages=", ".join(packages))
    if not shutil.which("apt-get"):
        raise Refused(elsewhere)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if sudo and not shutil.which("sudo"):
        raise Refused(elsewhere + " (Not root, and there is no sudo.)")
    if sudo:
        shown("sudo", "-v")  # may ask for a password: not inside a step whose output is held back
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    fetch = [*apt, "install", "-y", "--no-install-recommends", *packages]
    with step(f"{whose}: installing {', '.join(packages)} by apt"):
        if not any(Path("/var/lib/apt/lists").glob("*Packages*")):
            quietly(*apt, "update")
        try:
            quietly(*fetch)
        except Refused:  # lists older than what the archive holds now
            quietly(*apt, "update")
            quietly(*fetch, hint=elsewhere)
    if missing():
        raise Refused(elsewhere)


# --- the commands -------------------------------------------------------------------------------------------------


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


def audited(report, errors):
    """What pip-audit complains of. It counts a version of which its service knows nothing as clean; here it is not."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return [
            "the advisory service could not be asked: " + (errors.strip().splitlines() or ["no answer"])[-1]
        ]
    found = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version yet'}"
        for p in packages
        for v in p.get("vulns", [])
    ]
    unknown = [p["name"] for p in packages if "skip_reason" in p]
    if unknown:
        found.append(
            f"the advisory service knows nothing of {len(unknown)} of {len(packages)} packages ({unknown[0]}, …): "
            "can it be reached from here?"
        )
    return found if packages else ["no package was looked at"]


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
            quietly(sys.executable, "scripts/dev.py", "build", cwd=clone)
        with step("fresh: the newest versions that pyproject.toml allows"):
            quietly(PYTHON, "-m", "venv", python.parent.parent)
            quietly("uv", "pip", "install", "--python", python, ".", "--group", "test", cwd=clone)
        shown("uv", "pip", "list", "--python", python, "--outdated")
        quietly("uv", "pip", "check", "--python", python)
        quietly(python, "manage.py", "makemigrations", "--check", "--dry-run", cwd=clone)
        tests = args or ["tests/test_checks.py", "tests/rest/test_health.py", "tests/wire/test_frames.py"]
        return shown(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=clone)


def svelte_check():
    return shown("npm", "run", "--silent", "check", cwd=FRONTEND)


def format_code(_args):
    install("dev")
    return shown(BIN / "ruff", "check", "--fix") | shown(BIN / "ruff", "format")


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
