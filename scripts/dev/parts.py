"""The real servers and browser that tests use, and what the benchmarks compare with: by apt, where there is one."""

import os
import shutil
from pathlib import Path

from python import install
from running import Refused, environment, quietly, shown, step


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
