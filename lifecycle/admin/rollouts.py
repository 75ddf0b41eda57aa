"""Rollouts: how far they are, why they stand still, and the operator's buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from lifecycle.admin.common import MACHINE, LifecycleAdmin
from lifecycle.admin.rolloutpage import shown_rollout
from lifecycle.models import Rollout, RolloutMachine
from lifecycle.rules.states import DONE, SKIPPED
from lifecycle.services import (
    abort_rollout,
    pause_rollout,
    resume_rollout,
    roll_back_rollout,
    skip_machine,
)
from machines.admin.base import badge

REFRESH_SECONDS = 10
STATE_BADGES = {
    "ready to be started": "info",
    "running": "info",
    "paused": "danger",
    "completed": "success",
    "aborted": "warning",
}
PLACE_BADGES = {
    "open: it may change": "info",
    "updating": "info",
    "done": "success",
    "failed": "danger",
    "skipped": "warning",
}
_ACTIONS: dict[str, Callable[..., object]] = {
    "pause": pause_rollout,
    "abort": abort_rollout,
    "rollback": roll_back_rollout,
}


_SAYS = {
    "resume": "it goes on",
    "rollback": "a new revision has the content of before; it goes through the same policies",
}


@admin.register(Rollout)
class RolloutAdmin(LifecycleAdmin):
    """A revision on its way through the machines of a policy."""

    list_display = (
        "number",
        "policy_name",
        "revision_number",
        "state_badge",
        "progress",
        "reason_or_hold",
        "created_at",
        "ended_at",
    )
    list_select_related = ("cluster",)
    list_display_links = ("number", "policy_name")
    list_filter = ("state", "policy_name")
    search_fields = ("policy_name", "reason")
    ordering = ("-pk",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("policy_name", "cluster"),
                    ("from_number", "revision_number"),
                    ("state", "reason"),
                    ("created_at", "created_by"),
                    ("started_at", "ended_at"),
                )
            },
        ),
    )
    change_form_outer_before_template = "admin/lifecycle/rollout.html"
    empty_says = "No rollout yet: the next revision makes one for each policy that it concerns."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rollout]:
        """With the number of machines, of those that are done and of those left out."""
        rows: QuerySet[Rollout] = super().get_queryset(request)
        return rows.annotate(
            machine_count=Count("machines"),
            done_count=Count("machines", filter=Q(machines__state=DONE)),
            skipped_count=Count("machines", filter=Q(machines__state=SKIPPED)),
        )

    @admin.display(description="rollout", ordering="pk")
    def number(self, rollout: Rollout) -> int:
        """As the commands name it."""
        return rollout.pk

    @badge(description="state", ordering="state", label=STATE_BADGES)
    def state_badge(self, rollout: Rollout) -> str:
        """Where it stands."""
        return rollout.get_state_display()

    @admin.display(description="progress")
    def progress(self, rollout: Any) -> str:
        """How many machines are done, and at which stage it is."""
        done = f"{rollout.done_count} of {counted(rollout.machine_count, 'machine')} done"
        if rollout.skipped_count:
            done += f", {rollout.skipped_count} left out"
        return f"{done}, stage {rollout.stage + 1} of {len(rollout.stages)}"

    @admin.display(description="why")
    def reason_or_hold(self, rollout: Rollout) -> str:
        """Why it is in its state, or why nothing moves now; its page says more."""
        return rollout.reason or (rollout.hold if rollout.is_active else "")

    def get_urls(self) -> list[URLPattern]:
        """Also where the buttons of a rollout's page go."""
        page = self.admin_site.admin_view(self.act_page)
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:pk>/act/<str:action>/", page, name="lifecycle_rollout_act"), *urls]

    def act_page(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """One button: one service call."""
        if request.method != "POST" or not self.has_operate_permission(request):
            raise PermissionDenied
        rollout = Rollout.objects.select_related("policy", "cluster", "revision").filter(pk=pk)
        found = rollout.first()
        if found is not None:
            self._act(request, found, action)
        return HttpResponseRedirect(reverse("admin:lifecycle_rollout_change", args=[pk]))

    def _act(self, request: HttpRequest, rollout: Rollout, action: str) -> None:
        actor = actor_of(request)
        try:
            if action == "resume":
                resume_rollout(rollout=rollout, actor=actor)
            elif action in _ACTIONS:
                _ACTIONS[action](rollout=rollout, actor=actor, reason=reason_of(request))
            else:
                return
        except EngineError as error:
            messages.error(request, f"Nothing is changed: {error.value}.")
            return
        rollout.refresh_from_db()
        messages.success(request, f"{rollout}: {_SAYS.get(action) or rollout.state}.")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        """While it is active the page reads itself again."""
        rollout = self.get_object(request, object_id) if object_id else None
        context = dict(extra_context or {})
        if rollout:
            context["rollout"] = shown_rollout(rollout, self.has_operate_permission(request))
        answer: HttpResponseBase = super().changeform_view(request, object_id, form_url, context)
        if rollout and rollout.is_active:
            answer["Refresh"] = str(REFRESH_SECONDS)
        return answer


@admin.register(RolloutMachine)
class RolloutMachineAdmin(LifecycleAdmin):
    """Machines of rollouts, in their order."""

    list_display = (
        "rollout_name",
        "place",
        "stage_number",
        "machine_name",
        "state_badge",
        "reason",
        "opened_at",
        "deadline_at",
        "finished_at",
    )
    list_select_related = (MACHINE, "rollout")
    list_filter = ("state", "stage", "rollout__state")
    ordering = ("-rollout_id", "position")
    actions = ("leave_out",)
    action_form = ReasonForm

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """The pages of rollouts lead here."""
        allowed: bool = super().lookup_allowed(lookup, value, request)
        return lookup == "rollout__id__exact" or allowed

    @admin.display(description="place", ordering="position")
    def place(self, row: RolloutMachine) -> str:
        """Where in its order."""
        return str(row.position + 1)

    @admin.display(description="rollout", ordering="rollout_id")
    def rollout_name(self, row: RolloutMachine) -> str:
        """Of which one."""
        return f"{row.rollout_id} of {row.rollout.policy_name}"

    @admin.display(description="stage", ordering="stage")
    def stage_number(self, row: RolloutMachine) -> int:
        """As the rollout's page counts."""
        return row.stage + 1

    @badge(description="state", ordering="state", label=PLACE_BADGES)
    def state_badge(self, row: RolloutMachine) -> str:
        """How far it is."""
        return row.get_state_display()

    @admin.action(description="Leave out of the rollout", permissions=["operate"])
    def leave_out(self, request: HttpRequest, rows: QuerySet[RolloutMachine]) -> None:
        """Machines that the rollout shall not wait for."""
        actor, reason = actor_of(request), reason_of(request)

        def call(row: RolloutMachine) -> RolloutMachine:
            return skip_machine(
                rollout=row.rollout, machine=row.machine, actor=actor, reason=reason
            )

        run_for_each(
            request,
            rows.select_related("machine", "rollout"),
            call,
            ("machine is left out", "machines are left out"),
        )
