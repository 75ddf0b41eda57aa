"""The console's first page: how the fleet and the engine are, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Min, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from enjoliver.common.errors import EngineError
from enjoliver.common.models import Heartbeat
from enjoliver.common.words import counted
from enjoliver.engine import fleet
from enjoliver.engine.attention import notices
from enjoliver.engine.health import queue_health
from machines.models import Machine, MachineConflict
from machines.states import State
from matchbox_sync.assets.uses import Use
from matchbox_sync.models import Problem, SyncState
from matchbox_sync.services.assetuse import asset_uses, list_assets, missing_uses
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


@dataclass(frozen=True, slots=True)
class Assets:
    """The files below /assets: their page, how many, how many are not as they were added."""

    href: str
    total: int = 0
    odd: int = 0
    warnings: Sequence[str] = ()


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What `templates/admin/index.html` shows, added to the page's context."""
    clusters = fleet.clusters()
    files = assets()
    context["dashboard"] = {
        "notices": notices(),
        "figures": figures(),
        "states": states(),
        "waiting": waiting_reasons(),
        "problems": list(Problem.objects.select_related("machine")[:SHOWN_PROBLEMS]),
        "clusters": [{**one, "synced": _ago(one["sync"])} for one in clusters],
        "slots": fleet.slots(),
        "installs": fleet.installs(),
        "assets": files,
        "warnings": warnings(clusters, files.warnings),
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
            "wait for their turn, or for leave" if reports.outdated else "none",
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


def assets() -> Assets:
    """The files below /assets, and those that clusters use and nobody has put there."""
    href = reverse("admin:matchbox_sync_assets")
    uses = asset_uses()
    try:
        rows = list_assets(uses)
        missing = missing_uses(uses)
    except (EngineError, OSError) as error:
        return Assets(href, warnings=[f"The assets cannot be read: {error}"])
    odd = sum(row.state != "present" for row in rows)
    return Assets(href, len(rows), odd, _missing_assets(missing))


def warnings(clusters: list[dict[str, Any]], of_assets: Sequence[str] = ()) -> list[str]:
    """What an operator should know, worst first."""
    found = [sentence for one in clusters for sentence in _sync_warnings(one)]
    found += of_assets
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
        found.append(f"{counted(conflicts, 'open contradiction')} between machines.")
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


def _missing_assets(missing: Iterable[Use]) -> list[str]:
    """One sentence about files that network boots and installs will ask for in vain."""
    used: dict[str, list[str]] = defaultdict(list)
    for use in missing:
        used[use.path].append(str(use))
    if not used:
        return []
    shown = "; ".join(f"{path} ({', '.join(by)})" for path, by in [*used.items()][:SHOWN_PROBLEMS])
    return [f"Used and not in the assets: {shown}. Machines fail when they come to it."]


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
