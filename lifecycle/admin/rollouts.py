"""Rollouts: how far they are, why they stand still, and the operator's buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from enjoliver.common.errors import EngineError
from lifecycle.admin.common import LifecycleAdmin
from lifecycle.models import Rollout, RolloutMachine
from lifecycle.rules.stages import Stage
from lifecycle.rules.states import ACTIVE_STATES, PAUSED, READY, RUNNING
from lifecycle.services import (
    abort_rollout,
    pause_rollout,
    resume_rollout,
    roll_back_rollout,
    skip_machine,
)
from lifecycle.why import why_rollout
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


@admin.register(Rollout)
class RolloutAdmin(LifecycleAdmin):
    """A revision on its way through the machines of a policy."""

    list_display = (
        "policy_name",
        "revision_number",
        "state_badge",
        "progress",
        "reason",
        "created_at",
        "ended_at",
    )
    list_select_related = ("cluster",)
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
    change_form_outer_after_template = "admin/lifecycle/rollout.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rollout]:
        """With the number of machines."""
        rows: QuerySet[Rollout] = super().get_queryset(request)
        return rows.annotate(machine_count=Count("machines")).prefetch_related(None)

    @badge(description="state", ordering="state", label=STATE_BADGES)
    def state_badge(self, rollout: Rollout) -> str:
        """Where it stands."""
        return rollout.get_state_display()

    @admin.display(description="stage")
    def progress(self, rollout: Any) -> str:
        """Its stage, and over how many machines it goes."""
        return f"{rollout.stage + 1} of {len(rollout.stages)}, {rollout.machine_count} machines"

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
            messages.error(request, error.value)
        else:
            messages.success(request, "It is done.")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        """While it is active the page reads itself again."""
        rollout = self.get_object(request, object_id) if object_id else None
        shown = {"rollout": shown_rollout(rollout, self.has_operate_permission(request))}
        context = {**(extra_context or {}), **(shown if rollout else {})}
        answer: HttpResponseBase = super().changeform_view(request, object_id, form_url, context)
        if rollout and rollout.is_active:
            answer["Refresh"] = str(REFRESH_SECONDS)
        return answer


def shown_rollout(rollout: Rollout | None, may_act: bool) -> dict[str, Any]:
    """What the template of a rollout's page needs; a fixed number of queries."""
    if rollout is None:
        return {}
    rows = rollout.machines.order_by().values("stage", "state").annotate(number=Count("pk"))
    counts = {(row["stage"], row["state"]): row["number"] for row in rows}
    places = reverse("admin:lifecycle_rolloutmachine_changelist")
    return {
        "row": rollout,
        "why": why_rollout(rollout),
        "stages": [
            _stage(rollout, number, Stage(**stage), counts)
            for number, stage in enumerate(rollout.stages)
        ],
        "machines_url": f"{places}?rollout__id__exact={rollout.pk}",
        "buttons": _buttons(rollout) if may_act else [],
    }


def _stage(
    rollout: Rollout, number: int, stage: Stage, counts: dict[tuple[int, str], int]
) -> dict[str, Any]:
    mine = {state: n for (of, state), n in counts.items() if of == number}
    total = sum(mine.values())
    return {
        "number": number + 1,
        "is_now": rollout.is_active and number == rollout.stage,
        "is_canary": stage.is_canary,
        "soak_minutes": stage.soak_seconds // 60,
        "needs_confirmation": stage.needs_confirmation,
        "total": total,
        "percent": 100 * (mine.get("done", 0) + mine.get("skipped", 0)) // total if total else 0,
        "counts": sorted(mine.items()),
    }


def _buttons(rollout: Rollout) -> list[tuple[str, str]]:
    """(action, words) of what can be done in its state."""
    found = []
    if rollout.state in (READY, PAUSED):
        found.append(("resume", "Start" if rollout.state == READY else "Resume"))
    if rollout.state == RUNNING:
        found += [("pause", "Pause")]
        following = rollout.stage + 1
        stages = rollout.stages
        asks = following < len(stages) and stages[following]["needs_confirmation"]
        if asks and rollout.confirmed_stage < following:
            found.append(("resume", f"Confirm stage {following + 1}"))
    if rollout.state in ACTIVE_STATES:
        found.append(("abort", "Abort"))
    return [*found, ("rollback", f"Roll back to revision {rollout.from_number}")]


@admin.register(RolloutMachine)
class RolloutMachineAdmin(LifecycleAdmin):
    """Machines of rollouts, in their order."""

    list_display = (
        "place",
        "machine",
        "state_badge",
        "reason",
        "opened_at",
        "deadline_at",
        "finished_at",
    )
    list_select_related = ("machine", "rollout")
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
        """Of which rollout, where in its order."""
        return f"{row.rollout.policy_name} {row.rollout_id}, {row.position + 1}"

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
