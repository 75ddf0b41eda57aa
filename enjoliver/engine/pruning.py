"""The end of what only grows: history by age, configs by number, each by its owner's service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from enjoliver.common.leases import hold_lease
from enjoliver.common.passes import Pieces
from lifecycle.services import prune_attempts, prune_rollouts
from machines.services import prune_history, recheck_conflicts
from matchbox_sync.services import prune_revisions
from scheduling.models import Cluster

logger = logging.getLogger(__name__)

_SERVICES: tuple[Callable[[datetime], object], ...] = (
    lambda before: prune_history(before=before),
    lambda before: prune_attempts(before=before),
    lambda before: prune_rollouts(before=before),
    lambda _: recheck_conflicts(),
    lambda _: SessionStore.clear_expired(),
)


def prune_all() -> bool:
    """Run every pruning service once; False when another worker is at it.

    One that fails stops no other, and is raised after them.
    """
    with hold_lease("prune", seconds=600) as lease:
        if lease is None:
            return False
        before = timezone.now() - timedelta(days=settings.HISTORY_DAYS)
        pieces = Pieces()
        for service in _SERVICES:
            with pieces.piece():
                service(before)
        for cluster in Cluster.objects.all():
            lease.renew()
            with pieces.piece():
                prune_revisions(cluster=cluster)
        pieces.finish()
        return True
