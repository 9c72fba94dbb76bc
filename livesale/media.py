"""Pictures of products, where no proxy serves the media folder itself."""

from __future__ import annotations

import logging

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from chat.log.errors import Refused
from livesale.rest.errors import plain_page

logger = logging.getLogger(__name__)


@require_safe
def picture(request: HttpRequest, shop: str, media: str, name: str) -> HttpResponse:
    """One file of a picture. A file never changes: what is uploaded anew has a new address."""
    try:
        with default_storage.open(f"shops/{shop}/media/{media}/{name}.webp") as file:
            data = file.read()
    except FileNotFoundError:
        return plain_page(Refused("address.unknown"))
    except OSError as error:
        # put back as root, mostly, or a shared folder that is away: the page does without, the operator hears of it
        logger.error("the picture %s of the shop %s cannot be read: %s", media, shop, error.strerror)
        return plain_page(Refused("address.unknown"))
    response = HttpResponse(data, content_type="image/webp")
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
