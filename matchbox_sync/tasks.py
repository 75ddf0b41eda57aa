"""Tasks: one call each."""

import logging

from celery import shared_task

from matchbox_sync.services import sync_cluster
from scheduling.models import Cluster

logger = logging.getLogger(__name__)


@shared_task(name="matchbox_sync.tasks.run_sync", ignore_result=True)
def run_sync() -> None:
    """Sync every cluster; a cluster that another worker syncs right now is left to it."""
    for cluster in Cluster.objects.order_by("pk"):
        sync_cluster(cluster=cluster)
