"""Who holds the install gate, who waits, and what installs reported."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from lifecycle.admin.common import MACHINE, LifecycleAdmin
from lifecycle.models import (
    InstallAttempt,
    InstallGate,
    InstallOutcome,
    InstallReport,
    InstallWaiter,
)
from lifecycle.services import release_install

OUTCOME_COLOURS = {
    InstallOutcome.OPEN: "info",
    InstallOutcome.SUCCEEDED: "success",
    InstallOutcome.FAILED: "danger",
    InstallOutcome.STALLED: "warning",
}


@admin.register(InstallGate)
class InstallGateAdmin(LifecycleAdmin):
    """The install queue: how many install, how many wait."""

    list_display = ("site", "holders", "queue", "checked_at")
    list_select_related = False
    search_fields = ("site",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[InstallGate]:
        """With both counts in the one query."""
        is_open = Q(attempts__outcome=InstallOutcome.OPEN)
        gates: QuerySet[InstallGate] = super().get_queryset(request)
        return gates.annotate(
            holder_count=Count("attempts", filter=is_open, distinct=True),
            queue_length=Count("waiters", distinct=True),
        )

    @admin.display(description="installing")
    def holders(self, gate: InstallGate) -> int:
        """Machines that hold a place."""
        count: int = gate.holder_count  # type: ignore[attr-defined]
        return count

    @admin.display(description="waiting")
    def queue(self, gate: InstallGate) -> int:
        """Machines in the queue."""
        length: int = gate.queue_length  # type: ignore[attr-defined]
        return length


@admin.register(InstallAttempt)
class InstallAttemptAdmin(LifecycleAdmin):
    """Grants of the gate. An open one can be given on, with a reason."""

    list_display = (
        "machine_name",
        "machine_mac",
        "outcome_badge",
        "granted_at",
        "last_asked_at",
        "renewed_at",
        "deadline_at",
        "ended_at",
        "source",
    )
    list_filter = ("outcome",)
    actions = ("give_on",)
    action_form = ReasonForm

    @display(description="outcome", ordering="outcome", label=OUTCOME_COLOURS)  # type: ignore[untyped-decorator]
    def outcome_badge(self, attempt: InstallAttempt) -> tuple[str, str]:
        """How it stands."""
        return attempt.outcome, attempt.get_outcome_display()

    @admin.action(
        description="Give the place on: the machine will not report", permissions=["operate"]
    )
    def give_on(self, request: HttpRequest, rows: QuerySet[InstallAttempt]) -> None:
        """End open installs by hand."""
        actor, reason = actor_of(request), reason_of(request)
        run_for_each(
            request,
            rows.select_related("machine"),
            lambda attempt: release_install(attempt=attempt, actor=actor, reason=reason),
            done=("place is given on", "places are given on"),
        )


@admin.register(InstallWaiter)
class InstallWaiterAdmin(LifecycleAdmin):
    """The queue, the next one first."""

    list_display = (
        "machine_name",
        "machine_mac",
        "site",
        "rack",
        "asset_server",
        "first_asked_at",
        "last_asked_at",
    )
    list_filter = ("site",)
    ordering = ("pk",)
    empty_says = "No machine waits at the install gate."


@admin.register(InstallReport)
class InstallReportAdmin(LifecycleAdmin):
    """What machines last said about their install."""

    list_display = (
        "machine_name",
        "machine_mac",
        "success",
        "is_confirmed",
        "updated_at",
        "source",
    )
    list_filter = ("success", "is_confirmed")
    list_select_related = (MACHINE, "attempt")
