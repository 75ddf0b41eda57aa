"""The console's first page: how the fleet and the engine are, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Min, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from enjoliver.common.models import Heartbeat
from enjoliver.engine import fleet
from enjoliver.engine.health import queue_health
from machines.models import Machine, MachineConflict
from machines.states import State
from matchbox_sync.models import Problem, SyncState
from scheduling.models import Waiting

SHOWN_REASONS = 8
SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the page, with a word on it, how it should be seen and where it leads."""

    title: str
    number: int
    note: str = ""
    variant: str = "default"
    href: str = ""


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What `templates/admin/index.html` shows, added to the page's context."""
    clusters = fleet.clusters()
    context["dashboard"] = {
        "figures": figures(),
        "states": states(),
        "waiting": waiting_reasons(),
        "problems": list(Problem.objects.select_related("machine")[:SHOWN_PROBLEMS]),
        "clusters": [{**one, "synced": _ago(one["sync"])} for one in clusters],
        "slots": fleet.slots(),
        "installs": fleet.installs(),
        "warnings": warnings(clusters),
    }
    return context


def figures() -> list[Figure]:
    """The four numbers at the top."""
    reports = fleet.reports()
    total = Machine.objects.count()
    installed = fleet.installed_machines()
    return [
        Figure("Machines", total, f"{installed} installed", href=_list_of(Machine)),
        Figure("Up to date", reports.up_to_date, "by their last report", "success"),
        Figure(
            "Outdated",
            reports.outdated,
            "wait for a strategy" if reports.outdated else "none",
            "warning" if reports.outdated else "default",
        ),
        Figure(
            "Silent",
            reports.silent,
            f"no report for {fleet.SILENT_SECONDS // 60} minutes",
            "danger" if reports.silent else "default",
        ),
    ]


def states() -> list[Figure]:
    """Machines by state, those that occur."""
    variants = {
        State.RUNNING: "success",
        State.INSTALL_SUCCEEDED: "success",
        State.INSTALL_FAILED: "danger",
        State.INSTALL_GRANTED: "info",
        State.INSTALL_DENIED: "warning",
    }
    base = _list_of(Machine)
    return [
        Figure(
            State(name).label,
            number,
            variant=variants.get(State(name), "default"),
            href=f"{base}?state__exact={name}" if base else "",
        )
        for name, number in fleet.machines_by_state().items()
        if number
    ]


def waiting_reasons() -> list[dict[str, Any]]:
    """Why machines have no role: each reason once, the most frequent first."""
    rows = Waiting.objects.values("reason").annotate(machines=Count("pk"), since=Min("since"))
    return [
        {**row, "for": timesince(row["since"])}
        for row in rows.order_by("-machines", "reason")[:SHOWN_REASONS]
    ]


def warnings(clusters: list[dict[str, Any]]) -> list[str]:
    """What an operator should know, worst first."""
    found = [sentence for one in clusters for sentence in _sync_warnings(one)]
    worker = queue_health()
    if not worker["worker"]:
        last = Heartbeat.objects.filter(name="worker").first()
        found.append(
            f"No worker has shown life for {timesince(last.at)}: nothing is scheduled or synced."
            if last
            else "No worker has shown life yet: nothing is scheduled or synced."
        )
    conflicts = MachineConflict.objects.count()
    if conflicts:
        found.append(f"{conflicts} open contradictions between machines.")
    if settings.DEBUG:
        found.append("ENJOLIVER_DEBUG is on: error pages show settings and code.")
    found.append(
        "Machines' own routes need no credential: whoever is in ENJOLIVER_NODE_NETWORKS "
        "can report as any machine."
    )
    return found


def _sync_warnings(cluster: dict[str, Any]) -> list[str]:
    name, sync = cluster["name"], cluster["sync"]
    if sync is None or sync.notified_at is None:
        return [f"Cluster {name}: no sync has ended well yet; /ignition answers 503."]
    age = (timezone.now() - sync.notified_at).total_seconds()
    if age > settings.SYNC_NOTIFY_TTL_SECONDS:
        return [f"Cluster {name}: the last good sync was {timesince(sync.notified_at)} ago."]
    return []


def _ago(sync: SyncState | None) -> str:
    if sync is None or sync.notified_at is None:
        return "never"
    seconds = (timezone.now() - sync.notified_at).total_seconds()
    return "just now" if seconds < 60 else f"{timesince(sync.notified_at)} ago"


def _list_of(model: type[Model]) -> str:
    """The address of a model's list in the console, "" when it has none."""
    if not admin.site.is_registered(model):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
