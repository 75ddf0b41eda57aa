"""The control plane's membership as metadata: the same for publishing and for /metadata."""

from __future__ import annotations

from typing import Any

from matchbox_sync.metadata import membership_metadata
from matchbox_sync.models import Revision
from matchbox_sync.targets import read_members
from scheduling.models import Cluster
from scheduling.values import cluster_values, merge_values


def present_membership(cluster_id: int) -> dict[str, Any]:
    """Member and endpoint lists of the cluster as of now, with the ports that are in force."""
    cluster = Cluster.objects.get(pk=cluster_id)
    newest = Revision.objects.filter(cluster=cluster_id).order_by("-number")
    kept = newest.values_list("values", flat=True).first()
    values = merge_values(kept) if kept else cluster_values(cluster)
    return membership_metadata(members=read_members(cluster), values=values)
