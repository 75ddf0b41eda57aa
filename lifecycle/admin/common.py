"""What lifecycle's admin pages share: how rows are searched, who may act."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest

from machines.admin import ReportedAdmin

MACHINE_SEARCH = ("machine__boot_mac", "machine__uuid")


class LifecycleAdmin(ReportedAdmin):
    """Rows that machines and services write, with, perhaps, actions."""

    list_select_related: bool | Sequence[str] = ("machine",)
    search_fields: Sequence[str] = MACHINE_SEARCH

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions, which call services."""
        return request.user.has_perm(f"lifecycle.change_{self.model._meta.model_name}")
