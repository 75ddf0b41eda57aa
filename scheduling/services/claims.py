"""The right to change a cluster's placements: its `version`, moved once by each change."""

from __future__ import annotations

from django.db.models import F

from scheduling.models import Cluster


class LostRace(Exception):
    """Somebody else changed the cluster's placements after they were read."""


def claim_cluster(cluster: Cluster) -> None:
    """Compare-and-swap on the version that `cluster` was read with; raises LostRace.

    To be called first in a transaction. The row stays locked until its end, so that what was
    read under this version is still true when the transaction writes. `cluster` keeps the old
    version: whoever commits calls `note_claim`.
    """
    row = Cluster.objects.filter(pk=cluster.pk, version=cluster.version)
    if not row.update(version=F("version") + 1):
        raise LostRace(cluster.name)


def note_claim(cluster: Cluster) -> None:
    """After the commit: `cluster` now stands for the version that `claim_cluster` made."""
    cluster.version += 1


def lock_cluster(cluster_id: int) -> Cluster:
    """Move the version whatever it is, and read the cluster under that lock.

    For an operator's change, which must not lose to a scheduler that runs at the same moment:
    it waits for it, and makes every pass that has already read lose. First in a transaction.
    """
    Cluster.objects.filter(pk=cluster_id).update(version=F("version") + 1)
    return Cluster.objects.get(pk=cluster_id)
