"""Addresses of checkout: gateways' webhooks and the sandbox's page."""

from __future__ import annotations

from django.urls import path

from livesale.checkout import sandbox, webhooks

urlpatterns = [
    path("webhooks/<slug:name>/", webhooks.webhook, name="webhook"),
    path("pay/sandbox/<uuid:attempt_id>/", sandbox.page, name="sandbox"),
]
