"""Counts over the fleet, for metrics and the dashboard: a fixed number of aggregate queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, Max, Min, Sum
from django.utils import timezone

from enjoliver.common.models import Heartbeat
from lifecycle.models import InstallAttempt, InstallOutcome, LockGroup
from lifecycle.reads import ReportCounts, count_changes, count_reports
from lifecycle.services.gates import read_gates, watched_policies
from machines.models import Machine, MachineConflict, UnknownBoot
from machines.states import State
from matchbox_sync.models import Problem, Revision, SyncState
from scheduling.models import AssignedRole, Cluster, Waiting

SILENT_SECONDS = 600
"""An installed machine reports each minute by default; ten missed ones want to be seen."""


def machines_by_state() -> dict[str, int]:
    """State → machines; every state is there, so that a graph has no holes."""
    counted = dict(Machine.objects.values_list("state").annotate(Count("pk")).order_by())
    return {state.value: counted.get(state.value, 0) for state in State}


def machines_by_role() -> dict[tuple[str, str], int]:
    """(cluster, role) → machines."""
    rows = AssignedRole.objects.values_list("assignment__cluster__name", "role")
    return {(cluster, role): n for cluster, role, n in rows.annotate(n=Count("pk")).order_by()}


def waiting_by_code() -> dict[str, int]:
    """Why machines have no role → how many."""
    return dict(Waiting.objects.values_list("code").annotate(Count("pk")).order_by())


def conflicts_by_kind() -> dict[str, int]:
    """Open contradictions by kind."""
    return dict(MachineConflict.objects.values_list("kind").annotate(Count("pk")).order_by())


def installed_machines() -> int:
    """Machines whose install report counted."""
    return Machine.objects.filter(installed_at__isnull=False).count()


def unknown_boots() -> dict[str, int]:
    """MACs that asked to boot and belong to no machine, and how often they asked."""
    found = UnknownBoot.objects.aggregate(macs=Count("pk"), asked=Sum("count"))
    return {"macs": found["macs"], "asked": found["asked"] or 0}


def reports() -> ReportCounts:
    """Machines up to date and outdated by their last report, silent ones, the oldest report."""
    return count_reports(silent_after=timedelta(seconds=SILENT_SECONDS))


def clusters() -> list[dict[str, Any]]:
    """Per cluster: newest revision, problems of the last sync, and how the sync runs."""
    revisions = dict(Revision.objects.values_list("cluster_id").annotate(Max("number")).order_by())
    problems = dict(Problem.objects.values_list("cluster_id").annotate(Count("pk")).order_by())
    states = {state.cluster_id: state for state in SyncState.objects.all()}
    return [
        {
            "name": name,
            "revision": revisions.get(pk, 0),
            "problems": problems.get(pk, 0),
            "sync": states.get(pk),
        }
        for pk, name in Cluster.objects.order_by("name").values_list("pk", "name")
    ]


def installs() -> dict[str, int]:
    """Machines that install, machines in the queue, installs that fell silent."""
    now = count_changes()
    stalled = InstallAttempt.objects.filter(outcome=InstallOutcome.STALLED)
    return {
        "open": now.installs_open,
        "queued": now.installs_queued,
        "stalled": stalled.count(),
    }


def slots() -> list[tuple[str, int, int, Any]]:
    """(group, slots, held, since when the oldest is held)."""
    groups = LockGroup.objects.annotate(held_now=Count("held"), oldest=Min("held__acquired_at"))
    return list(groups.order_by("name").values_list("name", "slots", "held_now", "oldest"))


def health_gates() -> dict[tuple[str, str], bool]:
    """(policy, gate) → whether it lets machines change; of policies with an active rollout, as
    nobody asks the others."""
    policies = watched_policies()
    verdicts = read_gates(policies, timezone.now()) if policies else {}
    return {
        (policies[pk], one.name): one.is_healthy for pk, found in verdicts.items() for one in found
    }


def heartbeats() -> dict[str, Any]:
    """Part of the engine → when it last showed life."""
    return dict(Heartbeat.objects.values_list("name", "at"))
