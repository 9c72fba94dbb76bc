"""Is the process alive, may it be given work, and how is it? For load balancers and those who watch, not for people.

Probes are answered before anything else looks at the request (see `answer_probes`): they need no name of the site, no
session and no cookie, and whoever asks by address gets an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare

from livesale import metrics
from livesale.serving import server

T = TypeVar("T")

# Whoever asks a probe waits this long for the database, in seconds. No answer is an answer.
PATIENCE = 2.0

# Once everything is applied, it stays so for the life of this process.
_migrated = False


class Silence(Exception):
    """The database has not answered in time, or has refused."""


class _Asked(threading.Thread, Generic[T]):
    """One question on its way, and its answer: whoever has waited for it finds it, whatever is asked next."""

    def __init__(self, ask: Callable[[], T]) -> None:
        super().__init__(name="probe", daemon=True)
        self._ask = ask
        self.answer: T | None = None

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except (DatabaseError, InterfaceError):
            pass
        finally:
            connection.close()


class Question(Generic[T]):
    """Something that the database is asked in a thread of its own, with a connection of its own.

    A server that hangs keeps one thread waiting, not one per probe.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._asked: _Asked[T] | None = None

    def put(self) -> T:
        """The answer. Raises `Silence` when there is none within `PATIENCE`."""
        with self._turn:
            if self._asked is None or not self._asked.is_alive():
                self._asked = _Asked(self._ask)
                self._asked.start()
            asked = self._asked
        asked.join(PATIENCE)
        if asked.answer is None:
            raise Silence
        return asked.answer


def _all_migrated() -> bool:
    """Ask the database something, the first times whether it has every table that the code knows."""
    global _migrated  # noqa: PLW0603 - a fact about this process and its database
    if _migrated:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    else:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


_migrations = Question(_all_migrated)
_stored = Question(metrics.ask_database)


def livez(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether a load balancer should send people here. `degraded` makes it slower, not unready."""
    problems = ["draining"] if server.draining else []
    try:
        if not _migrations.put():
            problems.append("migrations")
    except Silence:
        problems.append("database")
    hub = server.hub_or_none
    degraded = ["layer"] if hub is not None and hub.layer.down else []
    answer = {"ready": not problems, "problems": problems, "degraded": degraded}
    return JsonResponse(answer, status=503 if problems else 200)


def show_metrics(request: HttpRequest) -> HttpResponse:
    """Numbers for Prometheus, for those who have METRICS_TOKEN. Without one there is nothing at this address.

    That somebody asks from this very machine proves nothing: so does everybody who comes through a proxy.
    """
    token = settings.METRICS_TOKEN
    scheme, _, said = request.headers.get("Authorization", "").partition(" ")
    if not token or scheme.lower() != "bearer" or not constant_time_compare(said.strip(), token):
        return HttpResponse("", status=404, content_type="text/plain")
    try:
        stored = _stored.put()
    except Silence:
        stored = None
    return HttpResponse(metrics.text(server, stored), content_type=metrics.CONTENT_TYPE)


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/livez": livez,
    "/readyz": readyz,
    "/metrics": show_metrics,
}


def answer_probes(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """The outermost middleware: a probe goes no further."""

    def middleware(request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        if probe is None:
            return get_response(request)
        response = probe(request)
        response["Cache-Control"] = "no-store"
        return response

    return middleware
