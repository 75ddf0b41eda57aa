"""What policies say to the sync: who is held back at a new revision, and who must approve it."""

from __future__ import annotations

from collections.abc import Collection

from lifecycle.models import IgnitionReport, RollingPolicy
from lifecycle.rules.selector import choose_policy
from lifecycle.services.membership import covered_machines, enabled_policies, placed_machines
from matchbox_sync.models import Revision
from scheduling.models import Cluster


def released_machines(revision: Revision, machine_ids: Collection[int]) -> Collection[int]:
    """Those of `machine_ids` whose desired config moves to a new revision at once: machines without
    a policy, and those that never ran a config, for whom nothing is at stake. Three queries."""
    covered = covered_machines(revision.cluster_id, machine_ids)
    if not covered:
        return machine_ids
    reported = IgnitionReport.objects.filter(pk__in=list(covered))
    held = set(reported.values_list("pk", flat=True))
    return [machine_id for machine_id in machine_ids if machine_id not in held]


def why_approval(cluster: Cluster, profiles: Collection[str]) -> str | None:
    """The policy that wants a change of these profiles to be approved, in words; None without."""
    if not RollingPolicy.objects.filter(
        cluster=cluster, is_enabled=True, requires_approval=True
    ).exists():
        return None
    policies = enabled_policies(cluster.pk)
    for placed in placed_machines(cluster_id=cluster.pk):
        if placed.subject.roles.isdisjoint(profiles):
            continue
        chosen = choose_policy(policies, placed.subject)
        if chosen and chosen.policy.requires_approval:
            return f"policy {chosen.policy} asks for approval"
    return None
