"""Which machines run their desired config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from lifecycle.admin.common import MACHINE, LifecycleAdmin
from lifecycle.models import IgnitionReport


class VerdictFilter(admin.SimpleListFilter):
    """Who is outdated?"""

    title = "verdict"
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """The two verdicts."""
        return [("outdated", "Outdated"), ("up-to-date", "Up to date")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[IgnitionReport]
    ) -> QuerySet[IgnitionReport]:
        """Filter by the chosen one."""
        if self.value() in ("outdated", "up-to-date"):
            return queryset.filter(is_up_to_date=self.value() == "up-to-date")
        return queryset


@admin.register(IgnitionReport)
class IgnitionReportAdmin(LifecycleAdmin):
    """The newest report of each machine."""

    list_display = (
        "machine_name",
        "machine_mac",
        "verdict",
        "profile",
        "running",
        "reported_at",
        "last_change_at",
    )
    list_select_related = (MACHINE, "machine__desired")
    list_filter = (VerdictFilter,)
    ordering = ("is_up_to_date", "-last_change_at")

    @display(  # type: ignore[untyped-decorator]
        description="verdict",
        ordering="is_up_to_date",
        label={"up to date": "success", "outdated": "warning"},
    )
    def verdict(self, report: IgnitionReport) -> str:
        """Up to date or outdated."""
        return str(report)

    @admin.display(description="desired profile")
    def profile(self, report: IgnitionReport) -> str:
        """What it should be; empty without a role."""
        desired = getattr(report.machine, "desired", None)
        return desired.profile if desired else ""

    @admin.display(description="running")
    def running(self, report: IgnitionReport) -> str:
        """The start of the digest of its running config."""
        return report.sha512[:12]
