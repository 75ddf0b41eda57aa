"""Which machine belongs to which policy: derived from selectors, stored for counting."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from lifecycle.models import ChangeClock, LockGroup, PolicyMember, RollingPolicy
from lifecycle.rules.amounts import Amount
from lifecycle.rules.selector import Selector, Subject, choose_policy
from lifecycle.services.moves import ENGINE
from machines.models import Machine
from matchbox_sync.models import DesiredConfig
from matchbox_sync.services import assign_revisions
from matchbox_sync.targets import roles_of
from scheduling.models import Assignment, Cluster
from scheduling.reads import domains_of
from scheduling.roles import PROFILE_CONTROL_PLANE

BATCH = 500
MEMBERS_EVERY = timedelta(seconds=30)
_TRIES = 3
_UNFIT = re.compile(r"[^a-zA-Z0-9-]+")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A policy with its selector read once, for looking at a whole fleet."""

    policy: RollingPolicy
    rank: tuple[int, str]
    parsed_selector: Selector


@dataclass(frozen=True, slots=True)
class Placed:
    """A machine with a complete role: what selectors see of it, and whether it is of the control
    plane."""

    subject: Subject
    cluster_id: int
    is_control_plane: bool


def enabled_policies(cluster_id: int) -> list[Ranked]:
    """The cluster's policies that are in force; one query."""
    rows = RollingPolicy.objects.filter(cluster_id=cluster_id, is_enabled=True)
    return [Ranked(policy, policy.rank, policy.parsed_selector) for policy in rows]


def placed_machines(
    *, cluster_id: int | None = None, machine_ids: Collection[int] | None = None
) -> list[Placed]:
    """Machines with a complete role, of one cluster or of these ids; one query."""
    rows: QuerySet[Assignment] = Assignment.objects.exclude(profile="").order_by("machine_id")
    if cluster_id is not None:
        rows = rows.filter(cluster_id=cluster_id)
    if machine_ids is not None:
        rows = rows.filter(machine_id__in=machine_ids)
    columns = ("machine_id", "cluster_id", "profile", "boot_mac")
    found = rows.values_list(*columns, "machine__uuid", "machine__labels")
    return [_placed(*row) for row in found]


def _placed(
    machine_id: int,
    cluster_id: int,
    profile: str,
    mac: str,
    uuid: str,
    labels: Mapping[str, str],
) -> Placed:
    roles = frozenset({profile, *roles_of(profile)})
    return Placed(
        Subject(machine_id, frozenset({uuid, mac}), roles, labels),
        cluster_id,
        profile == PROFILE_CONTROL_PLANE,
    )


def policy_of(machine: Machine) -> RollingPolicy | None:
    """The policy that `machine` belongs to now; two queries, whatever is stored."""
    placed = placed_machines(machine_ids=[machine.pk])
    if not placed:
        return None
    chosen = choose_policy(enabled_policies(placed[0].cluster_id), placed[0].subject)
    return chosen.policy if chosen else None


def covered_machines(cluster_id: int, machine_ids: Collection[int]) -> dict[int, RollingPolicy]:
    """Those of `machine_ids` that belong to a policy, and which; two queries."""
    policies = enabled_policies(cluster_id)
    if not policies:
        return {}
    found = {}
    for placed in placed_machines(cluster_id=cluster_id, machine_ids=machine_ids):
        chosen = choose_policy(policies, placed.subject)
        if chosen:
            found[placed.subject.machine_id] = chosen.policy
    return found


def refresh_members(*, cluster_id: int, actor: str = ENGINE) -> int:
    """Derive again who belongs to which policy of a cluster; returns how many machines changed.

    Whom no policy selects any more gets its newest config at once, as machines that never had one
    (`matchbox_sync`'s own rule); nobody acts on it before a strategy is granted. A constant number
    of queries but for what changed. Also keeps the policies' FleetLock groups.
    """
    for attempt in range(_TRIES):
        try:
            return _refresh(cluster_id, actor)
        except IntegrityError:  # a policy or a machine went since it was read
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _refresh(cluster_id: int, actor: str) -> int:
    policies = enabled_policies(cluster_id)
    wanted = _wanted(cluster_id, policies)
    stored = {
        row.machine_id: row for row in PolicyMember.objects.filter(policy__cluster_id=cluster_id)
    }
    gone = [row for machine_id, row in stored.items() if machine_id not in wanted]
    changed = [
        row
        for machine_id, row in wanted.items()
        if machine_id not in stored or not _is_same(row, stored[machine_id])
    ]
    for start in range(0, len(gone), BATCH):
        _let_go(gone[start : start + BATCH], actor)
    for start in range(0, len(changed), BATCH):
        _store(changed[start : start + BATCH])
    _keep_groups(policies, wanted.values())
    return len(gone) + len(changed)


def refresh_members_when_due(*, cluster_id: int, now: datetime) -> bool:
    """Derive the members again when that was not done for half a minute; True when it was due.

    A changed policy is followed at once; a machine's labels, roles and places by this. Whether a
    machine may change is asked of its policy as it is now (`policy_of`), so nothing goes wrong
    meanwhile.
    """
    clock = ChangeClock.objects.get_or_create(cluster_id=cluster_id)[0]
    if clock.members_at and abs(now - clock.members_at) < MEMBERS_EVERY:
        return False
    ChangeClock.objects.filter(pk=cluster_id).update(members_at=now)
    refresh_members(cluster_id=cluster_id)
    return True


def _wanted(cluster_id: int, policies: Sequence[Ranked]) -> dict[int, PolicyMember]:
    if not policies:
        return {}
    chosen = {
        placed.subject.machine_id: (placed, found.policy)
        for placed in placed_machines(cluster_id=cluster_id)
        if (found := choose_policy(policies, placed.subject))
    }
    levels = {policy.domain_level for _, policy in chosen.values()}
    domains = {level: domains_of(chosen.keys(), level) for level in levels}
    return {
        machine_id: PolicyMember(
            machine_id=machine_id,
            policy=policy,
            domain=domains[policy.domain_level].get(machine_id, ""),
            is_control_plane=placed.is_control_plane,
        )
        for machine_id, (placed, policy) in chosen.items()
    }


def _is_same(one: PolicyMember, other: PolicyMember) -> bool:
    return (one.policy_id, one.domain, one.is_control_plane) == (
        other.policy_id,
        other.domain,
        other.is_control_plane,
    )


def _let_go(members: Sequence[PolicyMember], actor: str) -> None:
    """They belong to no policy any more. In one transaction: killed in between, the next look finds
    them still here."""
    with transaction.atomic():
        rows = PolicyMember.objects.filter(pk__in=[row.pk for row in members])
        policy_of_row = {row.pk: row.policy_id for row in members}
        # Who came to another policy since is that policy's.
        ids = [pk for pk, its in rows.values_list("pk", "policy_id") if its == policy_of_row[pk]]
        held = DesiredConfig.objects.filter(pk__in=ids).exclude(config_id=F("newest_id"))
        assign_revisions(machine_ids=list(held.values_list("pk", flat=True)), actor=actor)
        PolicyMember.objects.filter(pk__in=ids).delete()


def _store(rows: list[PolicyMember]) -> None:
    with transaction.atomic():
        # A machine may have been removed since it was read.
        known = set(
            Machine.objects.filter(pk__in=[row.machine_id for row in rows]).values_list(
                "pk", flat=True
            )
        )
        PolicyMember.objects.bulk_create(
            [row for row in rows if row.machine_id in known],
            update_conflicts=True,
            unique_fields=["machine"],
            update_fields=["policy", "domain", "is_control_plane"],
        )


# --- FleetLock groups ----------------------------------------------------------------------------


def group_name(policy: RollingPolicy, domain: str) -> str:
    """The group that a machine of `domain` takes its slot in: the policy's, or its domain's.

    Domains whose names differ only in unusual characters share a group: fewer go at once.
    """
    if not policy.max_unavailable_per_domain:
        return policy.name
    return f"{policy.name}.{_UNFIT.sub('-', domain).strip('-')[:80] or 'unknown'}"


def _keep_groups(policies: Sequence[Ranked], members: Collection[PolicyMember]) -> None:
    """As many slots as the limits allow; what really decides is the policy's budget."""
    wanted: dict[str, dict[str, Any]] = {}
    for ranked in policies:
        policy = ranked.policy
        mine = Counter(row.domain for row in members if row.policy_id == policy.pk)
        if policy.max_unavailable_per_domain:
            per_domain = Amount.read(policy.max_unavailable_per_domain)
            for domain, number in mine.items():
                wanted[group_name(policy, domain)] = {
                    "policy_id": policy.pk,
                    "domain": domain,
                    "slots": per_domain.of(number),
                }
        else:
            slots = policy.limits.max_unavailable.of(mine.total())
            wanted[policy.name] = {"policy_id": policy.pk, "domain": "", "slots": slots}
    stored = {
        row["name"]: row
        for row in LockGroup.objects.filter(name__in=list(wanted)).values(
            "name", "policy_id", "domain", "slots"
        )
    }
    missing = [LockGroup(name=name, **row) for name, row in wanted.items() if name not in stored]
    LockGroup.objects.bulk_create(missing, ignore_conflicts=True)
    for name, row in wanted.items():
        if name in stored and {"name": name, **row} != stored[name]:
            LockGroup.objects.filter(name=name).update(**row)


def lock_groups_of(cluster: Cluster) -> QuerySet[LockGroup]:
    """The groups of a cluster's policies."""
    return LockGroup.objects.filter(policy__cluster=cluster)
