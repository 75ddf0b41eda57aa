"""Order between the rollouts of two policies of one cluster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from enjoliver.common.words import counted
from lifecycle.models import RollingPolicy, Rollout, RolloutMachine
from lifecycle.rules.order import CONTROL_PLANE_FIRST, WORKERS_FIRST
from lifecycle.rules.states import ACTIVE_STATES, FAILED, UNFINISHED_STATES
from lifecycle.services.away import heard_since


def read_peers(rollout: Rollout, policy: RollingPolicy, now: datetime) -> Mapping[bool, str]:
    """Who must wait for another policy's rollout, and why: members of the control plane (True), or
    the others (False). One query."""
    earliest, latest = heard_since(now, policy.silent_seconds)
    is_ready = Q(
        state__in=UNFINISHED_STATES,
        machine__ignition_report__reported_at__range=(earliest, latest),
    )
    rows = (
        RolloutMachine.objects.filter(
            rollout__cluster_id=rollout.cluster_id,
            rollout__state__in=ACTIVE_STATES,
            state__in=(*UNFINISHED_STATES, FAILED),
        )
        .exclude(rollout_id=rollout.pk)
        .order_by()
        .values(
            "rollout__policy_name",
            "rollout__order",
            "machine__policy_member__is_control_plane",
        )
        .annotate(number=Count("pk"), ready=Count("pk", filter=is_ready))
    )
    return peers_of(rollout.order, [dict(row) for row in rows])


def peers_of(order: str, rows: list[dict[str, Any]]) -> dict[bool, str]:
    """Who must wait for another policy's rollout, and why: of the control plane (True), or not.

    A rollout that wants the control plane first is always obeyed, so that two never wait for each
    other. Workers that cannot change (`ready` counts the others) hold up nobody.
    """
    found: dict[bool, str] = {}
    for row in rows:
        name = row["rollout__policy_name"]
        is_plane = row["machine__policy_member__is_control_plane"]
        if order == CONTROL_PLANE_FIRST and is_plane:
            machines = counted(row["number"], "machine")
            found[False] = f"the control plane goes first: {machines} of policy {name}"
        is_obeyed = order == WORKERS_FIRST and row["rollout__order"] != CONTROL_PLANE_FIRST
        if is_obeyed and not is_plane and row["ready"]:
            machines = counted(row["ready"], "machine")
            found[True] = f"the workers go first: {machines} of policy {name}"
    return found
