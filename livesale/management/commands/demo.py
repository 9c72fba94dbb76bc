"""`manage.py demo`: a shop, a live sale and a crowd of buyers on this machine; the real thing, in one process."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from livesale.demo import place

WIDTH = 79


class Command(BaseCommand):
    help = "Run a shop with a live sale and a crowd of buyers. Ctrl-C stops it; the next start goes on where it was."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--crowd", type=int, default=20, help="how many synthetic buyers (default: 20)")
        parser.add_argument("--pace", type=float, default=1.0, help="how fast the crowd lives (default: 1)")
        parser.add_argument("--reset", action="store_true", help="start over with fresh data")
        parser.add_argument(
            "--lan", action="store_true", help="let phones in the same network in; prints a QR code"
        )
        parser.add_argument("--empty", action="store_true", help="no shop, no crowd: make your own")
        parser.add_argument("--quiet", action="store_true", help="print the address and nothing after it")
        parser.add_argument("--no-autopilot", action="store_true", help="nobody hosts but you")
        parser.add_argument("--mail", action="store_true", help="show the mails that would be sent")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._run(options)
        except KeyboardInterrupt:
            self.stdout.write("\nstopped before the demo was ready; run it again and it goes on")
        finally:
            sys.stdout.flush()

    def _run(self, options: dict[str, Any]) -> None:
        crowd = 0 if options["empty"] else options["crowd"]
        from livesale.demo.people import MOST

        if not 0 <= crowd <= MOST:
            raise CommandError(f"--crowd takes 0 to {MOST}.")
        if not 0 < options["port"] < 65536 or options["pace"] <= 0:
            raise CommandError("--port takes 1 to 65535, --pace a number above 0.")
        host = "0.0.0.0" if options["lan"] else "127.0.0.1"  # nosec B104  # noqa: S104 - asked for with --lan
        place.check_port(host, options["port"])
        lock = place.only_one()
        try:
            self._prepare(options)
            if options["empty"]:
                seeded = None
                self._warn_of_goods()
            else:
                seeded = self._seed(crowd, options["quiet"])
            self._serve(host, options, seeded, crowd)
        finally:
            if lock is not None:
                lock.close()

    # --- before -------------------------------------------------------------------------------------------------

    def _prepare(self, options: dict[str, Any]) -> None:
        if options["reset"]:
            place.reset()
        place.keep_secret()
        if not os.environ.get("EMAIL_BACKEND"):
            name = "ShownMail" if options["mail"] else "FileOfMail"
            settings.EMAIL_BACKEND = f"livesale.demo.mail.{name}"
        logging.getLogger().setLevel(logging.WARNING)
        # a missing page is the visitor's business; the terminal is for the demo
        logging.getLogger("django.request").setLevel(logging.ERROR)
        with self._step("preparing the database", options["quiet"]):
            try:
                fresh = not connection.introspection.table_names()
                call_command("migrate", verbosity=0, interactive=False, stdout=io.StringIO())
            except OperationalError as error:
                raise CommandError(f"The database cannot be used: {error}") from None
            if fresh and place.database_file() is not None:
                place.mark()

    def _warn_of_goods(self) -> None:
        from livesale.demo import seed

        if seed.find() is not None:
            self.stdout.write(
                "The demo's shop is still here from an earlier run; `--empty --reset` begins without it."
            )

    def _seed(self, crowd: int, quiet: bool) -> Any:
        from commerce.shops.models import Shop
        from livesale.demo import people, seed

        known = seed.find()
        if known is None and Shop.objects.exclude(owner__email=people.HOST).exists():
            where = place.database_file() or "the database of DATABASE_URL"
            self.stdout.write(
                f"There are other shops in {where}: the demo's own is not added. --empty says the same."
            )
            return None
        if known is not None:
            people.make_crowd(crowd)
            return known
        started = time.monotonic()

        def progress(what: str, done: int, of: int) -> None:
            if quiet:
                return
            seconds = f" {time.monotonic() - started:.0f} s" if done == of else ""
            again, more = ("\r", "") if self.stdout.isatty() else ("", "\n")
            self.stdout.write(f"{again}{what} {done}/{of} …{seconds}", ending="\n" if done == of else more)
            self.stdout.flush()

        return seed.seed(crowd=crowd, progress=progress)

    def _step(self, what: str, quiet: bool) -> _Step:
        return _Step(self.stdout, what, quiet)

    # --- the server ---------------------------------------------------------------------------------------------

    def _serve(self, host: str, options: dict[str, Any], seeded: Any, crowd: int) -> None:
        from livesale.demo.running import Running

        port = options["port"]
        local = f"http://localhost:{port}"
        house = place.house_address() if options["lan"] else None
        if house is not None:
            place.admit([local, f"http://127.0.0.1:{port}", f"http://{house}:{port}"], [house])
        elif settings.PUBLIC_ORIGINS:
            place.admit([local, f"http://127.0.0.1:{port}"], [])
        connection.close()

        def ready() -> None:
            for line in _block(local, house, seeded, crowd, options):
                self.stdout.write(line)
            if options["lan"]:
                self._show_code(house, port, seeded)
            self.stdout.flush()

        running = Running(host, port, ready, self.stdout.write)
        if seeded is not None and (crowd or not options["no_autopilot"]):
            running.crowd = [
                "--room", str(seeded.room_id), "--shop", str(seeded.shop_id), "--crowd", str(crowd),
                "--pace", str(options["pace"]), *([] if options["no_autopilot"] else ["--autopilot"]),
                *(["--quiet"] if options["quiet"] else []),
            ]  # fmt: skip
        if not running.run():
            raise CommandError(f"Port {port} is in use. Take another one: --port {port + 1}")
        if not options["quiet"]:
            self.stdout.write("Stopped. The next start goes on with the same data.")

    def _show_code(self, house: str | None, port: int, seeded: Any) -> None:
        if house is None:
            self.stdout.write(
                "This machine is in no network that phones could share, so there is no QR code."
            )
            return
        import segno

        link = f"http://{house}:{port}/" + (f"r/{seeded.room_id}/" if seeded else "")
        drawn = io.StringIO()
        segno.make(link, error="l").terminal(drawn, compact=True)
        self.stdout.write(
            f"{drawn.getvalue()}\n  {link}\n  A phone in the same network opens it with its camera.\n"
        )


class _Step:
    """`what … 2 s`, around some work."""

    def __init__(self, out: Any, what: str, quiet: bool) -> None:
        self._out, self._what, self._quiet = out, what, quiet
        self._started = time.monotonic()

    def __enter__(self) -> None:
        if not self._quiet:
            self._out.write(f"{self._what} …", ending="")
            self._out.flush()

    def __exit__(self, kind: Any, *_: Any) -> None:
        if not self._quiet:
            self._out.write(" failed" if kind else f" {time.monotonic() - self._started:.0f} s")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _block(local: str, house: str | None, seeded: Any, crowd: int, options: dict[str, Any]) -> list[str]:
    """What one needs to know, in one look."""
    from livesale.demo import goods, people

    lines = ["", "─" * WIDTH, f"  livesale is running at  {local}/"]
    if house is not None:
        lines.append(f"  and in your network at  http://{house}:{options['port']}/")
    lines.append("")
    if seeded is None:
        lines += [
            f"  Sign up       {local}/account/signup",
            f"  Your desk     {local}/host/   open a shop, add products, plan a sale",
        ]
    else:
        lines += [
            f"  The sale      {local}/r/{seeded.room_id}/",
            f"  Host's desk   {local}/host/{seeded.room_id}/",
            f"  Moderation    {local}/mod/{seeded.room_id}/",
            f"  The shop      {local}/s/{seeded.slug}/",
            f"  A group       {local}/i/{seeded.invite}/   by invitation: “{goods.GROUP_ROOM}”",
            "",
            f"  Log in as     {people.BUYER}       password of all three:",
            f"                {people.HOST}        {people.PASSWORD}",
            f"                {people.MODERATOR}",
            "",
        ]
        who = (
            f"{crowd} buyers chat, claim, wait and pay over real WebSockets"
            if crowd
            else "Nobody else is there"
        )
        if options["no_autopilot"]:
            lines.append(f"  {who}; the host is you.")
        else:
            lines += [
                f"  {who}; a script hosts:",
                "  it shows the next thing every 45 s and opens a drop every 3 min. Act as the",
                "  host yourself and it steps back. Pay in the sandbox: no real money.",
            ]
    mails = settings.DATA_DIR / "demo-mail.txt"
    lines += [
        "",
        f"  Data          {settings.DATA_DIR}" + ("" if options["mail"] else f"   mails: {mails.name}"),
        "  Stop          Ctrl-C. The next start goes on; --reset starts over.",
        "─" * WIDTH,
        "",
    ]
    return lines
