"""Plans in the console: asking for one, its progress, what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse

from enjoliver.common.console import actor_of
from enjoliver.common.errors import EngineError, InvalidInput
from enjoliver.common.hints import hint
from machines.admin import ReportedAdmin
from machines.admin.base import badge
from matchbox_sync.admin.difftext import changes_html
from matchbox_sync.advice import advised
from matchbox_sync.models import PlanRun, PlanState
from matchbox_sync.services import read_result, request_plan
from matchbox_sync.tasks import run_plans
from scheduling.admin import ClusterAdmin
from scheduling.models import Cluster
from scheduling.valuefiles import parse_values

SHOWN_NAMES = 30
SHOWN_GROUPS = 40
REFRESH_SECONDS = 2
_BADGES = {
    PlanState.QUEUED.label: "info",
    PlanState.RUNNING.label: "info",
    PlanState.DONE.label: "success",
    PlanState.FAILED.label: "danger",
}


@admin.register(PlanRun)
class PlanRunAdmin(ReportedAdmin):
    """What somebody asked: what would a change do?"""

    list_display = ("title", "state_badge", "done", "total", "author", "created_at")
    list_select_related = ("cluster",)
    list_filter = ("state",)
    ordering = ("-pk",)
    fieldsets = ((None, {"fields": ("title", "author", "created_at")}),)
    change_form_outer_after_template = "admin/matchbox_sync/plan.html"

    @badge(description="state", ordering="state", label=_BADGES)
    def state_badge(self, run: PlanRun) -> str:
        """How far it is."""
        return run.get_state_display()

    def get_urls(self) -> list[URLPattern]:
        """Also where the forms of other pages ask for a plan."""
        page = self.admin_site.admin_view(self.request_page)
        urls: list[URLPattern] = super().get_urls()
        return [path("request/", page, name="matchbox_sync_plan_request"), *urls]

    def request_page(self, request: HttpRequest) -> HttpResponse:
        """Ask for a plan with what a form sent, and go to its page."""
        if request.method != "POST" or not request.user.has_perm("matchbox_sync.add_planrun"):
            raise PermissionDenied
        try:
            cluster = _cluster(request.POST.get("cluster", ""))
            run = request_plan(
                cluster=cluster, request=read_form(request.POST), actor=actor_of(request)
            )
        except EngineError as error:
            reasons = "; ".join(f"{key}: {reason}" for key, reason in error.fields.items())
            messages.error(request, reasons or error.value)
            return HttpResponseRedirect(reverse("admin:matchbox_sync_planrun_changelist"))
        hint(run_plans, delay_seconds=0.1)
        return HttpResponseRedirect(reverse("admin:matchbox_sync_planrun_change", args=[run.pk]))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        """The page reads itself again until the plan is done."""
        run = self.get_object(request, object_id) if object_id else None
        context = {**(extra_context or {}), "plan": _shown(run) if run else None}
        answer: HttpResponseBase = super().changeform_view(request, object_id, form_url, context)
        if run and run.finished_at is None:
            answer["Refresh"] = str(REFRESH_SECONDS)
        return answer


def read_form(form: Mapping[str, str]) -> dict[str, Any]:
    """What a form asks a plan for, as `request_plan` takes it; raises InvalidInput."""
    if form.get("compare"):
        return {"compare": [_number(form["compare"]), _number(form.get("with", ""))]}
    for name in ("revision", "pending"):
        if form.get(name):
            return {name: _number(form[name])}
    if "values_text" in form:
        return {"values": parse_values(form["values_text"]), "replace": True}
    return {}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidInput(f"{text[:20]!r} is no number")
    return int(text)


def _cluster(text: str) -> Cluster:
    cluster = Cluster.objects.filter(pk=_number(text)).first()
    if cluster is None:
        raise InvalidInput("there is no such cluster")
    return cluster


# --- showing ------------------------------------------------------------------------------------


def _shown(run: PlanRun) -> dict[str, Any]:
    """What the template needs."""
    result = read_result(run)
    shown: dict[str, Any] = {
        "run": run,
        "is_failed": run.state == PlanState.FAILED,
        "percent": 100 * run.done // run.total if run.total else 0,
    }
    if result is None:
        return shown
    document = advised(result)
    machines = {machine["id"]: machine for machine in document["machines"]}
    return shown | {
        "counts": [(word, number) for word, number in document["counts"].items() if number],
        "notes": document["notes"],
        "problems": document["problems"],
        "values": list(document["values"].items()),
        "groups": [_group(group, machines) for group in document["groups"][:SHOWN_GROUPS]],
        "more_groups": max(0, len(document["groups"]) - SHOWN_GROUPS),
        "others": _others(document["machines"]),
    }


def _group(group: Mapping[str, Any], machines: Mapping[int, Any]) -> dict[str, Any]:
    members = [machines[pk] for pk in group["machine_ids"]]
    return {
        "number": group["number"],
        "size": len(members),
        "summary": group["summary"],
        "sample": machines[group["sample_id"]]["name"],
        "names": _names(members),
        "advice": _by_reason(members, "action") + _by_reason(members, "blocked"),
        "changes": changes_html(group["changes"]),
    }


def _others(machines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(outcome, reason, names) of machines without a change to show."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for machine in machines:
        if machine["outcome"] != "changed":
            found.setdefault((machine["outcome"], machine["reason"]), []).append(machine)
    return [(outcome, reason, _names(members)) for (outcome, reason), members in found.items()]


def _by_reason(members: list[dict[str, Any]], key: str) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for machine in members:
        if machine[key]:
            counts[machine[key]] = counts.get(machine[key], 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def _names(machines: list[dict[str, Any]]) -> str:
    more = len(machines) - SHOWN_NAMES
    text = ", ".join(machine["name"] for machine in machines[:SHOWN_NAMES])
    return f"{text} and {more} more" if more > 0 else text


ClusterAdmin.change_form_outer_before_template = "admin/matchbox_sync/plan_values.html"
