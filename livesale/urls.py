"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from livesale import health

urlpatterns = [
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("_allauth/", include("allauth.headless.urls")),
    path("accounts/", include("allauth.urls")),
]
