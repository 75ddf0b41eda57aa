"""The engine's own Celery tasks: a sign of life, and the end of what is old."""

from __future__ import annotations

import os
import socket

from celery import shared_task

from enjoliver.common.leases import beat
from enjoliver.engine.pruning import prune_all


@shared_task(name="enjoliver.engine.tasks.beat_worker")
def beat_worker() -> None:
    """Show that a worker runs what beat asks for: beat, queue and worker in one sign of life."""
    beat("worker", f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="enjoliver.engine.tasks.prune")
def prune() -> None:
    """Delete what is older than ENJOLIVER_HISTORY_DAYS."""
    prune_all()
