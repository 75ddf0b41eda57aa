"""Who is unavailable: of a policy, and of a cluster's control plane. A few queries each.

A machine is in service once it has reported its config. It is unavailable while it was let go by a
rollout that is active, holds a slot (of any group), is in maintenance, installs again, failed to
install, or is silent for longer than its policy allows; a report from the future, which a clock
that stepped back leaves, counts as silence until the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import (
    PolicyMember,
    Replacement,
    ReplacementState,
    RollingPolicy,
    Rollout,
    RolloutMachine,
    Slot,
)
from lifecycle.rules.budget import ControlPlane, Member
from lifecycle.rules.states import ACTIVE_STATES, AWAY_STATES
from machines.states import State
from scheduling.models import Assignment, Cluster
from scheduling.roles import PROFILE_CONTROL_PLANE


@dataclass(frozen=True, slots=True)
class Away:
    """A member of a policy that is unavailable, and why, in words."""

    member: Member
    reason: str


def in_service(policy_id: int) -> QuerySet[PolicyMember]:
    """The policy's machines that ever reported a config: what per cent are counted of."""
    return PolicyMember.objects.filter(
        policy_id=policy_id, machine__ignition_report__isnull=False
    ).order_by()


def heard_since(now: datetime, silent_seconds: int) -> tuple[datetime, datetime]:
    """A report that was made between the two moments is fresh."""
    silence = timedelta(seconds=silent_seconds)
    return now - silence, now + silence


def read_away(
    policy: RollingPolicy, now: datetime, *, except_rollout: int | None = None
) -> dict[int, Away]:
    """The policy's unavailable machines in service; of `except_rollout` no place counts.

    Five queries, whose answers are as long as there are unavailable machines.
    """
    members = in_service(policy.pk)
    away = {
        machine_id: Away(member, reason)
        for machine_id, member, reason in _read_quiet(members, policy.silent_seconds, now)
    }
    reasons = {
        **_let_go(policy, except_rollout),
        **_slot_holders(policy),
        **_in_maintenance(policy, now),
    }
    rows = members.filter(pk__in=list(reasons)) if reasons else members.none()
    for member in map(_member, rows.values_list("pk", "domain", "is_control_plane")):
        away[member.machine_id] = Away(member, reasons[member.machine_id])
    return away


def _member(row: tuple[int, str, bool]) -> Member:
    return Member(*row)


def _read_quiet(
    members: QuerySet[PolicyMember], silent_seconds: int, now: datetime
) -> list[tuple[int, Member, str]]:
    earliest, latest = heard_since(now, silent_seconds)
    quiet = Q(machine__ignition_report__reported_at__lt=earliest) | Q(
        machine__ignition_report__reported_at__gt=latest
    )
    rows = members.filter(
        quiet
        | Q(machine__reinstall_requested_at__isnull=False)
        | Q(machine__state=State.INSTALL_FAILED)
    ).values_list(
        "pk",
        "domain",
        "is_control_plane",
        "machine__ignition_report__reported_at",
        "machine__reinstall_requested_at",
        "machine__state",
    )
    return [(row[0], _member(row[:3]), quiet_reason(*row[3:])) for row in rows]


def quiet_reason(reported_at: datetime, reinstall_at: datetime | None, state: str) -> str:
    """Why a machine is unavailable that reports nothing, or installs."""
    if state == State.INSTALL_FAILED:
        return "its install failed"
    if reinstall_at is not None:
        return "it was asked to install again"
    return f"it is silent (last report {reported_at:%Y-%m-%d %H:%M:%S} UTC)"


def _let_go(policy: RollingPolicy, except_rollout: int | None) -> dict[int, str]:
    rows = active_places().filter(machine__policy_member__policy=policy)
    if except_rollout is not None:
        rows = rows.exclude(rollout_id=except_rollout)
    found = rows.values_list("machine_id", "state", "rollout_id")
    return {pk: f"it is {state} in rollout {rollout}" for pk, state, rollout in found}


def active_places() -> QuerySet[RolloutMachine]:
    """Places of machines that were let go by rollouts that are active."""
    # Not by a join: that makes SQLite read the places of all rollouts there ever were.
    active = Rollout.objects.filter(state__in=ACTIVE_STATES).order_by()
    return RolloutMachine.objects.filter(
        state__in=AWAY_STATES, rollout__in=active.values("pk")
    ).order_by()


def _slot_holders(policy: RollingPolicy) -> dict[int, str]:
    rows = Slot.objects.filter(machine__policy_member__policy=policy).order_by()
    found = rows.values_list("machine_id", "group__name", "acquired_at")
    return {
        pk: f"it holds a slot of group {group} since {at:%Y-%m-%d %H:%M:%S} UTC"
        for pk, group, at in found
        if pk is not None
    }


def _in_maintenance(policy: RollingPolicy, now: datetime) -> dict[int, str]:
    everybody = maintenance_machine_ids(now=now)
    if not everybody:
        return {}
    mine = PolicyMember.objects.filter(policy=policy, pk__in=everybody)
    return dict.fromkeys(mine.values_list("pk", flat=True), "it is in maintenance")


# --- the control plane ---------------------------------------------------------------------------


def read_control_plane(
    cluster: Cluster, silent_seconds: int, now: datetime, *, except_rollout: int | None = None
) -> ControlPlane:
    """The cluster's control plane, also members of other policies or none.

    Places of `except_rollout` do not count; who is being replaced, and by whom, does. Five queries
    over a handful of machines.
    """
    columns = (
        "machine_id",
        "machine__ignition_report__reported_at",
        "machine__reinstall_requested_at",
        "machine__state",
    )
    assigned = Assignment.objects.filter(cluster=cluster, profile=PROFILE_CONTROL_PLANE)
    rows = list(assigned.order_by().values_list(*columns))
    ids = [row[0] for row in rows]
    places = active_places().filter(machine_id__in=ids)
    if except_rollout is not None:
        places = places.exclude(rollout_id=except_rollout)
    moving = set(places.values_list("machine_id", flat=True))
    moving |= set(Slot.objects.filter(machine_id__in=ids).values_list("machine_id", flat=True))
    # Of the two only who is a member: the new one must be able to bring itself up to date.
    moving |= _replaced(cluster) & set(ids)
    away = moving | maintenance_machine_ids(ids, now)
    earliest, latest = heard_since(now, silent_seconds)
    return ControlPlane(
        size=max(cluster.control_plane_size, len(ids)),
        available=frozenset(
            row[0]
            for row in rows
            if row[0] not in away and _serves(row, earliest=earliest, latest=latest)
        ),
        moving=frozenset(moving),
    )


def _replaced(cluster: Cluster) -> set[int]:
    rows = Replacement.objects.filter(cluster=cluster, state=ReplacementState.RUNNING)
    pairs = rows.order_by().values_list("leaving_id", "joining_id")
    return {machine_id for pair in pairs for machine_id in pair if machine_id is not None}


def _serves(row: tuple[Any, ...], *, earliest: datetime, latest: datetime) -> bool:
    _, reported_at, reinstall_at, state = row
    is_fresh = reported_at is not None and earliest <= reported_at <= latest
    return is_fresh and reinstall_at is None and state != State.INSTALL_FAILED


# --- the budget ----------------------------------------------------------------------------------


def domain_sizes(policy: RollingPolicy) -> dict[str, int]:
    """Machines in service by failure domain; empty where no limit asks for it."""
    if not policy.max_unavailable_per_domain:
        return {}
    counted = in_service(policy.pk).values("domain").annotate(number=Count("pk"))
    return {row["domain"]: row["number"] for row in counted}
