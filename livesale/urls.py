"""Every address of the site."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path

from livesale import health
from livesale.rest import errors

# One way in: rate-limited, and with a second factor for those who have one.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("livesale.checkout.urls")),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("_allauth/", include("allauth.headless.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("livesale.rest.urls")),
    re_path(r"^api/", errors.not_found),
]

handler400 = "livesale.rest.errors.bad_request"
handler403 = "livesale.rest.errors.denied"
handler404 = "livesale.rest.errors.not_found"
handler500 = "livesale.rest.errors.failed"
