"""The pages: one small document each, whose script draws the rest from the socket and from REST."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django_vite.core.exceptions import (
    DjangoViteAssetNotFoundError,
    DjangoViteConfigNotFoundError,
    DjangoViteManifestError,
)

from chat.log import reading
from chat.log.errors import Refused
from chat.rooms.models import Invite, Room
from chat.rooms.permissions import STAFF_ROLES
from chat.rooms.selectors import roles_in
from commerce.catalogue.models import Media
from commerce.shops.models import Shop
from commerce.shops.selectors import staff_roles
from livesale.accounts.models import User
from livesale.rest.errors import plain_page
from livesale.rest.shops import find_shop

_NOT_BUILT = (DjangoViteAssetNotFoundError, DjangoViteConfigNotFoundError, DjangoViteManifestError)


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def show(
    request: HttpRequest,
    page: str,
    *,
    title: str = "",
    description: str = "",
    picture: str = "",
    status: int = 200,
    public: bool = False,
    **boot: Any,
) -> HttpResponse:
    """A page of the site. `page` is the folder of its front end; `boot` is what its script starts with."""
    person = _person(request)
    language = (person.language if person else "") or translation.get_language() or settings.LANGUAGE_CODE
    facts: dict[str, Any] = {
        "page": page,
        "room": None,
        "shop": None,
        "person": {"id": str(person.id), "name": person.name} if person else None,
        "language": language,
        "csrf": get_token(request),
        **boot,
    }
    with translation.override(language):
        try:
            text = render_to_string(
                "livesale/page.html",
                {"boot": facts, "title": title, "description": description, "picture": picture},
                request=request,
            )
        except _NOT_BUILT:
            return _not_built()
    response = HttpResponse(text, status=status)
    response["Content-Language"] = language
    if not public or status != 200:
        response["X-Robots-Tag"] = "noindex"
    add_never_cache_headers(response)
    _content_policy(response, page)
    return response


def _content_policy(response: HttpResponse, page: str) -> None:
    """Pages without a video need no other site; the development server of the front end is let in when it is used."""
    changes: dict[str, list[str]] = {}
    if page not in {"room", "host", "moderator"}:
        response._csp_replace = {"frame-src": ["'none'"], "media-src": ["'none'"]}  # type: ignore[attr-defined]
    if settings.DJANGO_VITE["default"]["dev_mode"]:
        site = "http://localhost:5173"
        changes = {
            "default-src": [site],
            "style-src": ["'self'", "'unsafe-inline'"],
            "connect-src": [site, site.replace("http", "ws")],
        }
    if changes:
        response._csp_update = changes  # type: ignore[attr-defined]


def _not_built() -> HttpResponse:
    text = _("The pages have not been built yet: run `make build`, then start the server again.")
    response = HttpResponse(text + "\n", content_type="text/plain; charset=utf-8", status=503)
    response["Cache-Control"] = "no-store"
    return response


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return show(request, "home", public=True)


@require_safe
def room(request: HttpRequest, room: UUID) -> HttpResponse:
    """A room. One that this visitor may not see looks like one that does not exist: they may still sign in."""
    person = _person(request)
    verdict = reading.access([room], person.id if person else None)[room]
    found = Room.objects.filter(id=room).first() if verdict.read else None
    if found is None:
        return show(request, "room", status=404, room=str(room))
    return show(
        request,
        "room",
        public=found.open and found.archived_at is None,
        room=str(room),
        shop=str(found.tenant_id),
        title=found.name if found.open else "",
        description=found.description if found.open else "",
    )


@require_safe
def storefront(request: HttpRequest, slug: str) -> HttpResponse:
    """A shop's own page. Its id leads there too: that is all that an order knows of its shop."""
    try:
        shop = find_shop(slug)
    except Refused as refusal:
        return plain_page(refusal)
    if shop.slug != slug:
        return redirect("storefront", slug=shop.slug)
    picture = ""
    first = Media.objects.filter(shop_id=shop.id, product__archived_at__isnull=True).order_by("id").first()
    if first is not None and "1080" in first.renditions:
        picture = request.build_absolute_uri(default_storage.url(first.renditions["1080"]["file"]))
    return show(request, "storefront", title=shop.name, picture=picture, public=True, shop=str(shop.id))


@require_safe
def host(request: HttpRequest, room: UUID | None = None) -> HttpResponse:
    """The host's console, over all rooms or for one."""
    if room is not None:
        return _for_staff(request, "host", room)
    person = _person(request)
    if person is None:
        return _sign_in_first(request)
    mine = Shop.objects.filter(id__in=staff_roles(person=person.id)).order_by("created_at", "id").first()
    return show(request, "host", shop=str(mine.id) if mine else None)


@require_safe
def moderator(request: HttpRequest, room: UUID) -> HttpResponse:
    return _for_staff(request, "moderator", room)


def _for_staff(request: HttpRequest, page: str, room_id: UUID) -> HttpResponse:
    person = _person(request)
    if person is None:
        return _sign_in_first(request)
    found = Room.objects.filter(id=room_id).first()
    if found is None or roles_in([room_id], person.id)[room_id] not in STAFF_ROLES:
        return plain_page(Refused("stream.unknown"))
    return show(request, page, title=found.name, room=str(room_id), shop=str(found.tenant_id))


@require_safe
def account(request: HttpRequest, view: str, key: str = "") -> HttpResponse:
    """Signing in and up, and where the links of mails lead: `view` and `key` say which."""
    return show(request, "account", view=view, key=key)


@require_safe
def invitation(request: HttpRequest, code: str) -> HttpResponse:
    """Where an invite link leads. It names its room only to somebody who has a code; joining judges the code."""
    found = Invite.objects.filter(code=code, revoked_at__isnull=True).select_related("room").first()
    if found is None:
        return plain_page(Refused("invite.invalid"))
    return show(
        request,
        "home",
        title=found.room.name,
        room=str(found.room_id),
        shop=str(found.tenant_id),
        invite={"code": code, "name": found.room.name},
    )


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    hidden = (
        "/_allauth/",
        "/account/",
        "/accounts/",
        "/admin/",
        "/api/",
        "/host/",
        "/i/",
        "/mod/",
        "/pay/",
        "/webhooks/",
    )
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in hidden)]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain")
