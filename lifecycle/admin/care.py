"""Machines that somebody works on, that are retired, that replace one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from lifecycle.admin.common import LifecycleAdmin
from lifecycle.models import Maintenance, Replacement, ReplacementState
from lifecycle.services import (
    cancel_replacement,
    choose_again,
    end_maintenance,
    retire_machine,
    start_maintenance,
    start_replacement,
)
from machines.admin import ReadOnlyInline
from machines.models import Machine

Action = Callable[[Any, HttpRequest, QuerySet[Any]], None]
_STATES = {
    ReplacementState.RUNNING.label: "info",
    ReplacementState.COMPLETED.label: "success",
    ReplacementState.CANCELLED.label: "warning",
}


def _action(
    name: str, label: str, permission: str, call: Callable[..., object], done: tuple[str, str]
) -> Action:
    """An action on machines: `call(machine, actor, reason)` for each, by whoever may."""

    def run(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
        if not request.user.has_perm(permission):
            messages.error(request, f"You lack the permission {permission}.")
            return
        actor, reason = actor_of(request), reason_of(request)
        run_for_each(request, rows, lambda one: call(machine=one, actor=actor, reason=reason), done)

    run.__name__ = name
    return admin.action(description=label)(run)


MACHINE_ACTIONS: list[Action] = [
    _action(
        "maintenance_on",
        "Maintenance: somebody works on it",
        "lifecycle.change_maintenance",
        start_maintenance,
        ("machine is in maintenance", "machines are in maintenance"),
    ),
    _action(
        "retire",
        "Retire: take it out of service",
        "scheduling.delete_assignment",
        retire_machine,
        ("machine is retired", "machines are retired"),
    ),
    _action(
        "replace",
        "Replace this control-plane member by the best spare",
        "lifecycle.add_replacement",
        start_replacement,
        ("replacement began", "replacements began"),
    ),
]


class MaintenanceInline(ReadOnlyInline):
    """Does somebody work on it?"""

    model = Maintenance
    ordering = ("pk",)
    fields = readonly_fields = ["reason", "started_by", "started_at", "until_at"]


@admin.register(Maintenance)
class MaintenanceAdmin(LifecycleAdmin):
    """Who is in maintenance. It begins on the machines' page, and ends here."""

    list_display = ("machine_name", "machine_mac", "reason", "started_by", "started_at", "until_at")
    ordering = ("started_at",)
    actions = ("end",)
    empty_says = "No machine is in maintenance. It begins by an action on the machines' page."

    @admin.action(description="The work is done", permissions=["operate"])
    def end(self, request: HttpRequest, rows: QuerySet[Maintenance]) -> None:
        """They get leave, roles and alerts again."""
        machines = Machine.objects.filter(pk__in=rows.values("pk"))
        actor = actor_of(request)
        run_for_each(
            request,
            machines,
            lambda machine: end_maintenance(machine=machine, actor=actor),
            done=("machine is back", "machines are back"),
        )


@admin.register(Replacement)
class ReplacementAdmin(LifecycleAdmin):
    """Guided replacements: at which step, and what it waits for."""

    list_display = (
        "leaving_mac",
        "joining",
        "state_badge",
        "step",
        "waits_for",
        "started_by",
        "started_at",
        "ended_at",
    )
    list_select_related = ("joining", "cluster")
    list_filter = ("state", "step")
    search_fields = ("leaving_mac", "joining__boot_mac", "reason")
    ordering = ("-started_at",)
    actions = ("again", "cancel")
    empty_says = (
        "No member was replaced. It begins on the machines' page: select the dead member, and the "
        "action Replace."
    )
    action_form = ReasonForm

    @display(description="state", ordering="state", label=_STATES)  # type: ignore[untyped-decorator]
    def state_badge(self, row: Replacement) -> str:
        """In words."""
        return row.get_state_display()

    @admin.action(
        description="Take another spare: this one does not install", permissions=["operate"]
    )
    def again(self, request: HttpRequest, rows: QuerySet[Replacement]) -> None:
        """The best of those that are left."""
        actor = actor_of(request)
        run_for_each(
            request,
            rows,
            lambda row: choose_again(replacement=row, actor=actor),
            done=(
                "replacement goes on with another spare",
                "replacements go on with another spare",
            ),
        )

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Replacement]) -> None:
        """Once the spare has the place, the new member stays."""
        actor, reason = actor_of(request), reason_of(request)
        run_for_each(
            request,
            rows,
            lambda row: cancel_replacement(replacement=row, actor=actor, reason=reason),
            done=("replacement is cancelled", "replacements are cancelled"),
        )
