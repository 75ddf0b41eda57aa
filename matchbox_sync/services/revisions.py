"""Revisions: which machines a new one moves, and when old ones go."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

from django.db.models import Max
from django.utils import timezone

from enjoliver.common.leases import hold_lease
from matchbox_sync.models import (
    DesiredConfig,
    Document,
    MachineConfig,
    PendingChange,
    ProfileInForce,
    ProfileVersion,
    Revision,
)
from scheduling.models import Cluster

KEPT_REVISIONS = 30
KEPT_CONTENTS = 10
"""Of so many different contents the newest revision stays: each added machine makes a revision too,
and what to go back to must not be pushed out by them."""

KEPT_CHANGES = 200
PRUNE_SECONDS = 120.0
FRESH = timedelta(hours=1)
"""A plan under way may have made a profile version that nothing refers to yet."""

ReleasePolicy = Callable[[Revision, Collection[int]], Collection[int]]


def release_at_once(revision: Revision, machine_ids: Collection[int]) -> Collection[int]:
    """The policy without rollouts: every machine's desired config moves at once.

    Nobody acts on it before a strategy is granted.
    """
    return machine_ids


_release_policy: ReleasePolicy = release_at_once


def set_release_policy(policy: ReleasePolicy) -> None:
    """Register who decides which machines a new revision moves (an upper app's ready())."""
    global _release_policy
    _release_policy = policy


def released(revision: Revision, machine_ids: Collection[int]) -> set[int]:
    """Those of `machine_ids` whose desired config moves to `revision` now."""
    return set(_release_policy(revision, machine_ids))


def prune_revisions(*, cluster: Cluster, keep: int = KEPT_REVISIONS) -> int:
    """Forget configs older than the newest `keep` revisions that no machine refers to.

    Returns how many configs went. Documents and profile versions go when nobody needs them. While
    a sync is under way nothing goes: what it has just made belongs to no revision yet.
    """
    with hold_lease(f"sync:{cluster.name}", seconds=PRUNE_SECONDS) as lease:
        return _prune(cluster, keep) if lease else 0


def _prune(cluster: Cluster, keep: int) -> int:
    newest = Revision.objects.filter(cluster=cluster).aggregate(n=Max("number"))["n"] or 0
    old = MachineConfig.objects.filter(
        revision__cluster=cluster, revision__number__lte=newest - keep
    )
    in_use = set(DesiredConfig.objects.values_list("config_id", "newest_id", "previous_id"))
    needed = {pk for row in in_use for pk in row if pk}
    doomed = [pk for pk in old.values_list("pk", flat=True) if pk not in needed]
    for start in range(0, len(doomed), 500):
        MachineConfig.objects.filter(pk__in=doomed[start : start + 500]).delete()
    Revision.objects.filter(
        cluster=cluster, number__lte=newest - keep, configs__isnull=True
    ).exclude(number__in=_newest_of_contents(cluster)).delete()
    _prune_changes(cluster)
    _prune_versions(cluster)
    _prune_documents()
    return len(doomed)


def _newest_of_contents(cluster: Cluster) -> list[int]:
    """Numbers of the newest revisions of the last few contents."""
    contents = Revision.objects.filter(cluster=cluster).order_by().values("fingerprint")
    newest = contents.annotate(newest=Max("number")).order_by("-newest")
    return list(newest.values_list("newest", flat=True)[:KEPT_CONTENTS])


def _prune_changes(cluster: Cluster) -> None:
    """Decisions of long ago; open ones say what the sync does."""
    closed = PendingChange.objects.filter(cluster=cluster, closed_at__isnull=False)
    old = list(closed.order_by("-pk").values_list("pk", flat=True)[KEPT_CHANGES:][:500])
    PendingChange.objects.filter(pk__in=old).delete()


def _prune_versions(cluster: Cluster) -> None:
    in_force = ProfileInForce.objects.values_list("version_id", flat=True)
    ProfileVersion.objects.filter(
        cluster=cluster,
        created_at__lt=timezone.now() - FRESH,
        configs__isnull=True,
        revisions__isnull=True,
        pending_changes__isnull=True,
    ).exclude(pk__in=list(in_force)).delete()


def _prune_documents() -> None:
    used = set(MachineConfig.objects.values_list("document_id", flat=True).distinct())
    used |= set(ProfileVersion.objects.values_list("document_id", flat=True))
    bases = set(Document.objects.filter(base__isnull=False).values_list("base_id", flat=True))
    doomed = [
        pk
        for pk in Document.objects.values_list("pk", flat=True)
        if pk not in used and pk not in bases
    ]
    for start in range(0, len(doomed), 500):
        Document.objects.filter(pk__in=doomed[start : start + 500]).delete()
