"""Is the process alive, and may it be given work?"""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from livesale.serving import server


def livez(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"alive": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """Whether a load balancer should send people here. A layer that is down makes it slower, not unready."""
    problems = []
    if server.draining:
        problems.append("draining")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        problems.append("database")
    return JsonResponse({"ready": not problems, "problems": problems}, status=503 if problems else 200)
