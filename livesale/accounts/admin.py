"""People, for operators: found, let into the admin, shut out. Passwords are the people's own business."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from livesale.accounts.models import User
from livesale.accounts.services import deactivate, end_everywhere


@admin.register(User)
class PersonAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff")
    search_fields = ("name", "email", "id")
    ordering = ("-created_at",)
    fields = (
        "id",
        "name",
        "email",
        "language",
        "is_active",
        "is_staff",
        "is_superuser",
        "groups",
        "auth_version",
        "created_at",
    )
    readonly_fields = ("id", "email", "auth_version", "created_at")
    filter_horizontal = ("groups",)
    actions = ("sign_out",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Orders name people: erasing somebody is more than deleting a row."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data and not obj.is_active:
            deactivate(obj.id)

    @admin.action(description=_("Sign out on all devices"), permissions=["change"])
    def sign_out(self, request: HttpRequest, queryset: QuerySet[User]) -> Any:
        for person_id in queryset.values_list("id", flat=True):
            end_everywhere(person_id)
