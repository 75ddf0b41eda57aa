"""May a machine of a policy be away? Counted by the database, at the moment of the question.

Every machine that is let go asks this, and as many are let go as the policy lets be away. So no
rows come into the engine. What grows with the fleet is one look at the date of each report, which
has no index for the sake of the reports, and, for limits in per cent, one count over keys. Who is
unavailable: `lifecycle.services.away`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from lifecycle.maintained import present_maintenance
from lifecycle.models import IgnitionReport, PolicyMember, RollingPolicy, Slot
from lifecycle.rules.budget import ControlPlane, Limits, Member, Tally
from lifecycle.services.away import active_places, heard_since, read_control_plane
from machines.models import Machine
from machines.states import State


def budget_refusal(policy: RollingPolicy, member: PolicyMember, now: datetime) -> str:
    """Why `member` of `policy` must not go away now, given who is unavailable; "" when it may.

    One to three statements; six more for a member of the control plane.
    """
    limits = policy.limits
    one = Member(member.machine_id, member.domain, member.is_control_plane)
    in_domain, is_counted = _count_away(policy, one.machine_id, now, _minds_domains(limits))
    after = sum(in_domain.values()) + (0 if is_counted else 1)
    sizes = _count_in_service(policy, limits, after)
    tally = Tally(
        limits=limits,
        total=sum(sizes.values()),
        domain_sizes=sizes,
        in_domain=in_domain,
        control_plane=_read_plane(policy, now) if one.is_control_plane else ControlPlane(),
    )
    return tally.refusal(one, is_counted=is_counted)


def _read_plane(policy: RollingPolicy, now: datetime) -> ControlPlane:
    return read_control_plane(policy.cluster, policy.silent_seconds, now)


def _minds_domains(limits: Limits) -> bool:
    return limits.per_domain is not None or limits.max_domains > 0


# --- who is away ---------------------------------------------------------------------------------


def _count_away(
    policy: RollingPolicy, machine_id: int, now: datetime, by_domain: bool
) -> tuple[dict[str, int], bool]:
    """How many of the policy are unavailable by failure domain (all below "" unless `by_domain`),
    and whether the machine is one of them. One statement.

    Members of every policy are counted and ours picked: that lets both databases begin with those
    who are away. Asked for one policy's they begin with its members, and look each one up.
    """
    members = PolicyMember.objects.filter(_has_reported(), pk__in=_away_ids(policy, now))
    keys = ("policy_id", "domain") if by_domain else ("policy_id",)
    rows = members.order_by().values_list(*keys)
    found = rows.annotate(number=Count("pk"), mine=Count("pk", filter=Q(pk=machine_id)))
    ours = [row for row in found if row[0] == policy.pk]
    in_domain = {row[1] if by_domain else "": row[-2] for row in ours}
    return in_domain, any(row[-1] for row in ours)


def _has_reported() -> Exists:
    return Exists(IgnitionReport.objects.filter(pk=OuterRef("pk")))


def _away_ids(policy: RollingPolicy, now: datetime) -> QuerySet[Any, Any]:
    """Machines, of whichever policy, that are unavailable by this policy's measure of silence."""
    earliest, latest = heard_since(now, policy.silent_seconds)
    reports, machines = IgnitionReport.objects.order_by(), Machine.objects.order_by()
    return (
        active_places()
        .values("machine_id")
        .union(
            Slot.objects.filter(machine__isnull=False).order_by().values("machine_id"),
            present_maintenance(now).order_by().values("machine_id"),
            reports.filter(Q(reported_at__lt=earliest) | Q(reported_at__gt=latest)).values("pk"),
            machines.filter(reinstall_requested_at__isnull=False).values("pk"),
            machines.filter(state=State.INSTALL_FAILED).values("pk"),
        )
    )


# --- of how many ---------------------------------------------------------------------------------


def _count_in_service(policy: RollingPolicy, limits: Limits, away: int) -> Mapping[str, int]:
    """Machines of the policy in service, by failure domain where that matters; one statement.

    Where the limits are plain numbers, and `away` would not be too many, it makes no difference how
    many they are of: nothing is read.
    """
    most, each = limits.max_unavailable, limits.per_domain
    is_each_percent = each is not None and each.is_percent
    if not most.is_percent and not is_each_percent and away <= most.number:
        return {"": away}
    members = PolicyMember.objects.filter(
        policy=policy, pk__in=IgnitionReport.objects.order_by().values("pk")
    ).order_by()
    if not is_each_percent:
        return {"": members.count()}
    return dict(members.values_list("domain").annotate(number=Count("pk")))
