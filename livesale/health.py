"""Is the process alive, and may it be given work?"""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from livesale.serving import server

# Once everything is applied, it stays so for the life of this process.
_migrated = False


def livez(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"alive": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """Whether a load balancer should send people here. `degraded` makes it slower, not unready."""
    problems = ["draining"] if server.draining else []
    try:
        if not _all_migrated():
            problems.append("migrations")
    except DatabaseError:
        problems.append("database")
    hub = server.hub_or_none
    degraded = ["layer"] if hub is not None and hub._layer.down else []
    answer = {"ready": not problems, "problems": problems, "degraded": degraded}
    return JsonResponse(answer, status=503 if problems else 200)


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
