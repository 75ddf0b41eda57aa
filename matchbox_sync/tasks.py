"""Tasks: one call each."""

import logging

from celery import shared_task

from enjoliver.common.hints import hint
from enjoliver.common.passes import Pieces
from matchbox_sync.services import has_waiting_plans, run_next_plan, sync_cluster
from scheduling.models import Cluster

logger = logging.getLogger(__name__)


@shared_task(name="matchbox_sync.tasks.run_sync", ignore_result=True)
def run_sync() -> None:
    """Sync every cluster; a cluster that another worker syncs right now is left to it.

    Plans that somebody waits for and nobody makes (their hint was lost) are asked for again.
    """
    pieces = Pieces()
    for cluster in Cluster.objects.order_by("pk"):
        with pieces.piece():
            sync_cluster(cluster=cluster)
    with pieces.piece():
        if has_waiting_plans():
            hint(run_plans)
    pieces.finish()


@shared_task(name="matchbox_sync.tasks.run_plans", ignore_result=True)
def run_plans() -> None:
    """Make the plans that wait, the oldest first."""
    while run_next_plan() is not None:
        pass
