"""The OpenAPI document of this server, and a page to read it and try it out."""

from __future__ import annotations

from functools import cache

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerView


@cache
def document() -> bytes:
    """The OpenAPI document as JSON. Commands are registered at start-up, so it is made once."""
    made = SchemaGenerator().get_schema(request=None, public=True)
    rendered: bytes = OpenApiJsonRenderer().render(made, renderer_context={})
    return rendered


def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


# Swagger UI writes its start-up script and its styles into the page: allowed there, on no other page.
pages = ensure_csrf_cookie(
    csp_update(
        {
            "script-src": ["'self'", "'unsafe-inline'"],
            "style-src": ["'self'", "'unsafe-inline'"],
            "img-src": ["data:"],
        }
    )(SpectacularSwaggerView.as_view(url="/api/v1/schema/"))
)
