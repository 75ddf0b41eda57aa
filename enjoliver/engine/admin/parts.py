"""The parts of the engine: when each last showed life, and who does which work alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.models import Heartbeat, Lease


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that the engine writes for itself."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    """Which parts live."""

    list_display = ("name", "at", "detail")


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Which work is under way, and by whom."""

    list_display = ("name", "owner", "expires_at")
