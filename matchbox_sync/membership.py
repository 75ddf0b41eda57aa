"""The control plane's membership as metadata: the same for publishing and for /metadata."""

from __future__ import annotations

from typing import Any

from matchbox_sync.metadata import membership_metadata
from matchbox_sync.targets import read_members
from scheduling.models import Cluster
from scheduling.values import cluster_values


def present_membership(cluster_id: int) -> dict[str, Any]:
    """Member and endpoint lists of the cluster as of now."""
    cluster = Cluster.objects.get(pk=cluster_id)
    return membership_metadata(members=read_members(cluster), values=cluster_values(cluster))
