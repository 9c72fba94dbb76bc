"""Every address of the site."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from livesale import media, pages
from livesale.rest import errors

# One way in: rate-limited, and with a second factor for those who have one.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("livesale.checkout.urls")),
    path("admin/", admin.site.urls),
    path("_allauth/", include("allauth.headless.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("livesale.rest.urls")),
    re_path(r"^api/", errors.not_found),
    path("", pages.home, name="home"),
    path("r/<uuid:room>/", pages.room, name="room"),
    path("s/<slug:slug>/", pages.storefront, name="storefront"),
    path("host/", pages.host, name="host"),
    path("host/<uuid:room>/", pages.host, name="host-room"),
    path("mod/<uuid:room>/", pages.moderator, name="moderator"),
    path("i/<slug:code>/", pages.invitation, name="invitation"),
    path("account/", pages.account, {"view": "profile"}, name="account"),
    path("account/login", pages.account, {"view": "login"}, name="login"),
    path("account/signup", pages.account, {"view": "signup"}, name="signup"),
    path("account/verify/<str:key>", pages.account, {"view": "verify"}),
    path("account/password/reset", pages.account, {"view": "forgotten"}),
    path("account/password/reset/<str:key>", pages.account, {"view": "reset"}),
    path("robots.txt", pages.robots),
    re_path(
        rf"^{settings.MEDIA_URL.strip('/')}/shops/(?P<shop>[0-9a-f-]{{36}})/media/(?P<media>[0-9a-f-]{{36}})/"
        r"(?P<name>\w{1,60})\.webp$",
        media.picture,
    ),
]

handler400 = "livesale.rest.errors.bad_request"
handler403 = "livesale.rest.errors.denied"
handler404 = "livesale.rest.errors.not_found"
handler500 = "livesale.rest.errors.failed"
