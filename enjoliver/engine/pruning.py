"""The end of what only grows: history by age, configs by number, each by its owner's service."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from enjoliver.common.leases import hold_lease
from lifecycle.services import prune_attempts, prune_rollouts
from machines.services import prune_history, recheck_conflicts
from matchbox_sync.services import prune_revisions
from scheduling.models import Cluster

logger = logging.getLogger(__name__)


def prune_all() -> bool:
    """Run every pruning service once; False when another worker is at it."""
    with hold_lease("prune", seconds=600) as lease:
        if lease is None:
            return False
        before = timezone.now() - timedelta(days=settings.HISTORY_DAYS)
        prune_history(before=before)
        prune_attempts(before=before)
        prune_rollouts(before=before)
        recheck_conflicts()
        SessionStore.clear_expired()
        for cluster in Cluster.objects.all():
            lease.renew()
            prune_revisions(cluster=cluster)
        return True
