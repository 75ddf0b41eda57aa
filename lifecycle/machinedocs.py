"""Documents of maintenance, replacements and the install queue, for the API and `--json`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from enjoliver.common.times import rfc3339
from lifecycle.models import (
    InstallAttempt,
    InstallLimit,
    InstallOutcome,
    InstallWaiter,
    Maintenance,
    Replacement,
)
from lifecycle.services import ReplacementPlan, gate_limits
from scheduling.placementdocs import spread_document, swap_document

MAX_ROWS = 1000


def maintenance_document(row: Maintenance) -> dict[str, Any]:
    """One machine in maintenance."""
    return {
        "mac": row.machine.boot_mac,
        "uuid": row.machine.uuid,
        "reason": row.reason,
        "started_at": rfc3339(row.started_at),
        "started_by": row.started_by,
        "until": rfc3339(row.until_at),
    }


def plan_document(plan: ReplacementPlan) -> dict[str, Any]:
    """What a replacement would mean."""
    return {
        **swap_document(plan.swap),
        "spread_before": spread_document(plan.swap.before),
        "obstacles": list(plan.judgement.obstacles),
        "warnings": list(plan.judgement.warnings),
    }


def replacement_document(row: Replacement) -> dict[str, Any]:
    """How a replacement stands."""
    return {
        "id": row.pk,
        "cluster": row.cluster.name,
        "leaving": row.leaving_mac,
        "joining": row.joining.boot_mac if row.joining else None,
        "state": row.state,
        "step": row.step,
        "next": row.get_step_display(),
        "waits_for": row.waits_for,
        "reason": row.reason,
        "started_by": row.started_by,
        "started_at": rfc3339(row.started_at),
        "step_at": rfc3339(row.step_at),
        "ended_at": rfc3339(row.ended_at),
        "score_before": row.score_before,
        "score_after": row.score_after,
    }


def queue_document(now: datetime | None = None) -> dict[str, Any]:
    """Who installs and who waits, the next one first; at most a thousand of each."""
    alive_since = (now or timezone.now()) - gate_limits().patience
    open_ones = InstallAttempt.objects.filter(outcome=InstallOutcome.OPEN).order_by("pk")
    waiters = InstallWaiter.objects.filter(last_asked_at__gte=alive_since).order_by("pk")
    return {
        "installing": [
            {
                "mac": one.machine.boot_mac,
                **_where(one),
                "since": rfc3339(one.granted_at),
                "deadline": rfc3339(one.deadline_at),
            }
            for one in open_ones.select_related("machine")[:MAX_ROWS]
        ],
        "waiting": [
            {"mac": one.machine.boot_mac, **_where(one), "since": rfc3339(one.first_asked_at)}
            for one in waiters.select_related("machine")[:MAX_ROWS]
        ],
    }


def limits_document() -> dict[str, Any]:
    """The limits of installs; `site_default` is that of every site without one."""
    rows = InstallLimit.objects.values("scope", "name", "concurrency")
    return {"site_default": gate_limits().concurrency, "items": list(rows)}


def _where(row: InstallAttempt | InstallWaiter) -> dict[str, str]:
    return {"site": row.site, "rack": row.rack, "asset_server": row.asset_server}
